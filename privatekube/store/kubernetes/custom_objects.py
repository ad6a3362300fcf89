"""Custom resources of this project on a Kubernetes API server, as JSON; its errors are translated here, once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import urllib3
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.wire.common import Json

GROUP, VERSION = meta.GROUP, meta.API_VERSION.rpartition("/")[2]
STATUS = "status"
_PAGE, _PAUSE_SECONDS, _STARTING_SECONDS = 500, 1.0, 30.0
_REFUSALS = frozenset({400, 403, 413, 415, 422})
_REFUSED_USER = ' is forbidden: User "'
"""What RBAC says; an admission webhook may refuse an object with the same status and reason."""
TIMEOUT_SECONDS = (5, 60)
"""To connect, and to answer."""
T = TypeVar("T")


class Cluster:
    """The resources of the group, by plural name; `namespace` is None for kinds that have none.

    All methods raise Conflict, AlreadyExists, NotFound, InvalidInput (the server refuses what was given), NotServed (it
    refuses the user, or does not know the kind) and StoreBusy (it is not there, or asks to come again).

    Args:
        api: the connection.
        patience_seconds: how long to come again where the server is busy or away. What was written although no answer
            came shows as a Conflict, or as AlreadyExists.
    """

    def __init__(self, api: client.ApiClient, *, patience_seconds: float = 0.0) -> None:
        self._api, self._patience = api, patience_seconds
        self._custom = client.CustomObjectsApi(api)

    def get(self, plural: str, name: str, namespace: str | None = None) -> Json | None:
        """The object of that name, or None."""
        try:
            return self._call("get", plural, namespace, name=name)
        except errors.NotFound:
            return None

    def listed(self, plural: str, namespace: str | None = None) -> list[Json]:
        """All objects of that kind, or those of a namespace: one consistent state, read page by page."""
        return self.snapshot(plural, namespace)[0]

    def snapshot(self, plural: str, namespace: str | None = None) -> tuple[list[Json], str]:
        """The same, and the version of that state, to watch from."""
        found: list[Json] = []
        more: str | None = None
        while True:
            options = {"limit": _PAGE} if more is None else {"limit": _PAGE, "_continue": more}
            try:
                page = self._call("list", plural, namespace, **options)
            except errors.Conflict:  # what the pages come from is too old by now
                found, more = [], None
                continue
            found += page["items"]
            more = page["metadata"].get("continue")
            if not more:
                return found, str(page["metadata"]["resourceVersion"])

    def create(self, plural: str, document: Json) -> Json:
        """Add an object; AlreadyExists when the name is taken."""
        return self._call("create", plural, document["metadata"].get("namespace"), body=document)

    def replace(self, plural: str, document: Json, *, status: bool = False) -> Json:
        """Replace an object, or only its status; Conflict unless it is of the version that `document` names."""
        identity = document["metadata"]
        call = "replace" if not status else "replace_status"
        return self._call(call, plural, identity.get("namespace"), name=identity["name"], body=document)

    def delete(self, plural: str, document: Json) -> None:
        """Remove an object; Conflict unless it is of the version that `document` names."""
        identity = document["metadata"]
        version = client.V1Preconditions(resource_version=identity["resourceVersion"])
        options = client.V1DeleteOptions(preconditions=version)
        self._call("delete", plural, identity.get("namespace"), name=identity["name"], body=options)

    def watch(self, plural: str, version: str, *, seconds: int) -> Iterator[tuple[str, Json]]:
        """What happens to that kind after `version`, for so long: ADDED, MODIFIED, DELETED or BOOKMARK, and the object.

        Raises:
            Conflict: that version is too old to go on from; list anew.
        """
        calls = self._custom.list_cluster_custom_object
        options = {"resource_version": version, "allow_watch_bookmarks": True, "timeout_seconds": seconds}
        with _watch_errors(plural), translated(plural):
            longest = (TIMEOUT_SECONDS[0], seconds + TIMEOUT_SECONDS[1])
            for event in watch.Watch().stream(calls, GROUP, VERSION, plural, _request_timeout=longest, **options):
                yield str(event["type"]), event["raw_object"]

    def close(self) -> None:
        """Give back the connections."""
        self._api.close()

    def _call(self, verb: str, plural: str, namespace: str | None, **given: Any) -> Json:
        scope = "cluster" if namespace is None else "namespaced"
        where = {} if namespace is None else {"namespace": namespace}
        name = f"{verb.removesuffix('_status')}_{scope}_custom_object{'_status' if verb.endswith('_status') else ''}"
        method: Callable[..., Json] = getattr(self._custom, name)
        what = "/".join(part for part in (plural, namespace, given.get("name")) if part)

        def call() -> Json:
            return method(GROUP, VERSION, plural=plural, _request_timeout=TIMEOUT_SECONDS, **where, **given)

        return patiently(call, what, self._api, seconds=self._patience)


def patiently(call: Callable[[], T], what: str, api: client.ApiClient, *, seconds: float) -> T:
    """What `call` gives, in this project's errors; it is tried again for so long where the server is busy or away.

    A server that just started refuses everybody until it has read its roles and kinds: NotServed is believed of one
    that said before that it is ready.
    """
    began, was_ready = time.monotonic(), False
    while True:
        next_time = time.monotonic() + _PAUSE_SECONDS
        try:
            with translated(what):
                return call()
        except errors.StoreBusy:
            if next_time >= began + seconds:
                raise
            was_ready = False
        except errors.NotServed:
            if was_ready or next_time >= began + min(seconds, _STARTING_SECONDS):
                raise
            was_ready = is_ready(api)
        if not was_ready:
            time.sleep(_PAUSE_SECONDS)


def is_ready(api: client.ApiClient) -> bool:
    """Whether the API server says that it is ready to serve."""
    try:
        _, status, _ = api.call_api("/readyz", "GET", auth_settings=["BearerToken"], _request_timeout=TIMEOUT_SECONDS)
    except (ApiException, urllib3.exceptions.HTTPError):
        return False
    return bool(status == 200)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise this project's errors for the API server's."""
    try:
        yield
    except ApiException as error:
        raise _translation(what, error) from error
    except urllib3.exceptions.HTTPError as error:
        raise errors.StoreBusy(f"kubernetes: the API server cannot be reached ({error}); try again") from error


@contextlib.contextmanager
def _watch_errors(plural: str) -> Iterator[None]:
    """What the client lets through of a stream that broke, or that is no JSON."""
    try:
        yield
    except (ValueError, KeyError) as error:
        raise errors.StoreBusy(f"{plural}: the watch broke ({error}); try again") from error


def _translation(what: str, error: ApiException) -> errors.PrivateKubeError:
    reason, message = _explained(error)
    match error.status, reason:
        case 404, "NotFound":
            return errors.NotFound(f"{what}: is gone ({message})")
        case 404, _:  # of the kind, not of the object: nothing is known to be gone
            return errors.NotServed(f"{what}: its kind is not installed; run kubectl apply -k manifests/base")
        case _, "AlreadyExists":
            return errors.AlreadyExists(f"{what}: exists already; choose another name, or delete it first")
        case ((409 | 410), _):
            return errors.Conflict(f"{what}: was changed meanwhile ({message})")
    return _refusal(what, error.status, message)


def _refusal(what: str, status: int, message: str) -> errors.PrivateKubeError:
    refused = f"{what}: refused by the API server: {message}"
    if status == 401 or (status == 403 and _REFUSED_USER in message):
        return errors.NotServed(refused)
    if status in _REFUSALS or "too large" in message:
        return errors.InvalidInput(refused)
    return errors.StoreBusy(f"{what}: the API server answered {status} ({message}); try again")


def _explained(error: ApiException) -> tuple[str, str]:
    """The reason and the message of an API server's answer, as far as it gave them."""
    try:
        document = json.loads(error.body or "")
        return str(document.get("reason", "")), str(document.get("message", "")).replace("\n", " ")
    except (ValueError, AttributeError):
        return "", str(error.reason)
