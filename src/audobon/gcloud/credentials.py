"""As whom Google Cloud is spoken to: always whom the surroundings name, never by a key file of ours."""

from typing import Any

from audobon.gcloud.errors import google_errors

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def ambient_credentials() -> Any:
    """Return the credentials that this machine, container or user has for Google Cloud.

    Looked for where Google's own tools look: the environment, `gcloud auth application-default login`, the
    metadata server of Google's machines.
    raises  CloudDenied when there are none, Misconfigured without the extra `gcp`
    """
    with google_errors("looking for credentials"):
        import google.auth

        credentials, _ = google.auth.default(scopes=_SCOPES)
        return credentials


def no_credentials() -> Any:
    """Return credentials that name nobody, for an endpoint on this machine."""
    with google_errors("looking for credentials"):
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()
