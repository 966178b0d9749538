"""Google's own clients, spoken to where the endpoints say and as whom the surroundings name."""

from typing import Any, TypeVar

from audobon.gcloud.credentials import ambient_credentials, no_credentials
from audobon.gcloud.endpoints import Api, Endpoint, endpoint
from audobon.gcloud.errors import google_errors

_Client = TypeVar("_Client")

_REST_HOSTS: dict[Api, str] = {"sqladmin": "sqladmin.googleapis.com", "storage": "storage.googleapis.com"}
_REST_SECONDS = 60.0
# One call may carry all that a queue holds in its window, or an encrypted page.
_GRPC_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def grpc_client(kind: type[_Client], api: Api) -> _Client:
    """Return one of Google's gRPC clients, such as `kms_v1.KeyManagementServiceClient`.

    raises  CloudDenied when there are no credentials, Misconfigured
    """
    place = endpoint(api)
    with google_errors(f"opening a client of the API {api}"):
        maker: Any = kind
        if place is None or not place.is_insecure:
            options = {} if place is None else {"client_options": {"api_endpoint": place.host}}
            return maker(credentials=ambient_credentials(), **options)  # type: ignore[no-any-return]
        import grpc

        # An api_endpoint alone would still be spoken to by TLS.
        channel = grpc.insecure_channel(place.host, options=_GRPC_OPTIONS)
        return maker(transport=maker.get_transport_class("grpc")(channel=channel))  # type: ignore[no-any-return]


def storage_client(project: str | None = None) -> Any:
    """Return a client of Cloud Storage: `google.cloud.storage.Client`.

    project  in which buckets are made and listed; objects need none
    """
    place = endpoint("storage")
    with google_errors("opening a client of Cloud Storage"):
        from google.cloud import storage

        options = {} if place is None else {"client_options": {"api_endpoint": place.url}}
        client = storage.Client(project=project, credentials=_credentials(place), **options)
        # For traces that nobody asked for, it would ask in the background for what an account that may only
        # create is not allowed to see.
        client._bucket_metadata_cache = None
        return client


class RestSession:
    """An API that is spoken to by JSON over HTTP, where Google has no client worth its weight."""

    def __init__(self, api: Api) -> None:
        place = endpoint(api)
        self._url = f"https://{_REST_HOSTS[api]}" if place is None else place.url
        with google_errors(f"opening a client of the API {api}"):
            from google.auth.transport.requests import AuthorizedSession

            self._session = AuthorizedSession(_credentials(place))

    def call(
        self, method: str, path: str, *, body: Any = None, parameters: dict[str, str] | None = None
    ) -> Any:
        """Return the answer to a call, as plain values.

        path    from the root: /v1/projects/…
        raises  as `google_errors` says
        """
        with google_errors(f"{method} {path}"):
            from google.api_core.exceptions import from_http_response

            answer = self._session.request(
                method, self._url + path, json=body, params=parameters, timeout=_REST_SECONDS
            )
            if not answer.ok:
                raise from_http_response(answer)
            return answer.json() if answer.content else None

    def close(self) -> None:
        """Close its connections."""
        self._session.close()


def rest_session(api: Api) -> RestSession:
    """Return a session of an API that is spoken to by JSON over HTTP."""
    return RestSession(api)


def _credentials(place: Endpoint | None) -> Any:
    return no_credentials() if place is not None and place.is_insecure else ambient_credentials()
