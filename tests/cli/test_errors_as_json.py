"""Errors with --json: a document for programs on standard output, and the words where they were."""

import json

import pytest
from queue_desk import Desk


def test_an_error_is_a_document_and_words(desk: Desk) -> None:
    outcome = desk.queue("pause", "batchh", "--json")

    assert (outcome.status, outcome.err) == (
        4,
        "error: there is no queue 'batchh'\nhint: did you mean batch?\n",
    )
    assert json.loads(outcome.out) == {
        "error": {
            "code": "queue_not_found",
            "message": "there is no queue 'batchh'",
            "hint": "did you mean batch?",
        }
    }


def test_without_json_an_error_is_words_alone(desk: Desk) -> None:
    assert desk.queue("pause", "batchh").out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("configure batch --kind page --json", "--kind goes with --attempts, --rest or --longest-rest"),
        ("list --colour --json", "No such option"),
    ],
)
def test_what_is_typed_wrongly_is_a_document_too(desk: Desk, arguments: str, message: str) -> None:
    outcome = desk.queue(*arguments.split())

    assert outcome.status == 2
    assert message in outcome.err
    error = json.loads(outcome.out)["error"]
    assert error["code"] == "invalid_input"
    assert error["message"].startswith(message)
    assert error["hint"] is None


def test_a_fault_of_audobon_is_a_document_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("audobon.app.open_app", fail)

    outcome = desk.queue("list", "--json")

    assert outcome.status == 1
    assert json.loads(outcome.out)["error"] == {
        "code": "error",
        "message": "a fault in Audobon: ZeroDivisionError: by nothing",
        "hint": None,
    }
