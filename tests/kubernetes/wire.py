"""Requests to the API server with a body as its author wrote it, whatever it is, and the token of a user."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from privatekube.resources import meta
from tests.kubernetes.apiserver import ADMIN, ApiServer

Json = dict[str, Any]
_SECONDS = 60
_CONTENT_TYPES = {"POST": "application/json", "PATCH": "application/json-patch+json"}


class Wire:
    """Sends requests as a user.

    Args:
        server: the API server.
        user: whose token is sent.
    """

    def __init__(self, server: ApiServer, user: str = ADMIN) -> None:
        api = server.api(user)
        self._pool, self._url = api.rest_client.pool_manager, server.url
        self._token = api.configuration.get_api_key_with_prefix("authorization")

    def send(self, method: str, path: str, body: object = None) -> tuple[int, Json]:
        """Send a request, and return the status and the JSON of the answer.

        An infinite number is sent as one that is too large to be a float: JSON has no other.
        """
        headers = {"Authorization": self._token, "Content-Type": _CONTENT_TYPES.get(method, "application/json")}
        text = None if body is None else json.dumps(body).replace("Infinity", "1e999").encode()
        answer = self._pool.request(
            method, f"{self._url}{path}", body=text, headers=headers, timeout=_SECONDS, retries=False
        )
        return answer.status, json.loads(answer.data)


def path_of(plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the path of a collection of this project's resources, or of one of them."""
    folder = "" if namespace is None else f"/namespaces/{quote(namespace, safe='')}"
    path = f"/apis/{meta.API_VERSION}{folder}/{plural}"
    return path if name is None else f"{path}/{quote(name, safe='')}"
