"""Where each API is spoken to: Google's place, or what the environment names; never in clear afar."""

import pytest

from audobon.config import load
from audobon.errors import Misconfigured
from audobon.gcloud.endpoints import Endpoint, endpoint, parse_endpoint

VARIABLE = "AUDOBON_GCP_ENDPOINT_KMS"


def test_without_a_variable_it_is_googles_place() -> None:
    assert endpoint("kms") is None


@pytest.mark.parametrize(
    ("text", "found", "url"),
    [
        ("http://127.0.0.1:8080", Endpoint("127.0.0.1:8080", True), "http://127.0.0.1:8080"),
        ("127.0.0.1:8080", Endpoint("127.0.0.1:8080", True), "http://127.0.0.1:8080"),
        (" http://localhost:8080/ ", Endpoint("localhost:8080", True), "http://localhost:8080"),
        ("[::1]:8080", Endpoint("[::1]:8080", True), "http://[::1]:8080"),
        ("https://kms.example.net", Endpoint("kms.example.net:443", False), "https://kms.example.net:443"),
        ("kms.example.net:8443", Endpoint("kms.example.net:8443", False), "https://kms.example.net:8443"),
        ("https://127.0.0.1:8443", Endpoint("127.0.0.1:8443", False), "https://127.0.0.1:8443"),
    ],
)
def test_an_address_is_read(monkeypatch: pytest.MonkeyPatch, text: str, found: Endpoint, url: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    assert endpoint("kms") == found
    assert found.url == url


@pytest.mark.parametrize(
    "text", ["http://kms.example.net:80", "http://10.0.0.7:8080", "http://127.0.0.1.example.net:8080"]
)
def test_nothing_is_sent_in_clear_to_another_machine(text: str) -> None:
    with pytest.raises(Misconfigured, match="only this machine may"):
        parse_endpoint(text, variable=VARIABLE)


@pytest.mark.parametrize("text", ["ftp://127.0.0.1", "127.0.0.1:99999", "127.0.0.1:0", "a b", "http://"])
def test_what_is_no_address_is_refused_with_the_variable(text: str) -> None:
    with pytest.raises(Misconfigured, match=f"{VARIABLE}: .* is no address"):
        parse_endpoint(text, variable=VARIABLE)


def test_the_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "127.0.0.1:1")
    assert load().cloud.kms_key == ""
