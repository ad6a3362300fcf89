"""Custom resources of this project on a Kubernetes API server, as JSON; the server's errors are translated here."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import urllib3
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from privatekube import errors, retries
from privatekube.resources import meta
from privatekube.resources.wire.common import Json

GROUP, VERSION = meta.GROUP, meta.API_VERSION.rpartition("/")[2]
_INSTALL = "run kubectl apply -k manifests/base"
STATUS = "status"
_PAGE_SIZE, _STARTUP_SECONDS = 500, 30.0
_BACK_OFF = retries.BackOff(first_seconds=1.0, longest_seconds=1.0)
_REFUSALS = frozenset({400, 403, 413, 415, 422})
_REFUSED_USER = ' is forbidden: User "'
"""Part of RBAC's message; an admission webhook may refuse an object with the same status and reason."""
_POLICY_NOT_READY = "failed to configure policy"
"""Part of the message while the server does not know yet a kind that an admission policy reads: for up to half a minute
after it has started, or after the kind was installed."""
TIMEOUT_SECONDS = (5, 60)
"""Time-outs to connect, and to read the answer."""
_NO_NAMESPACE = re.compile(r'namespaces "([^"]*)" not found')
"""The API server's message about an object of a namespace that does not exist."""
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
"""Names of objects, as the API server checks them (RFC 1123)."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiGroup:
    """A version of an API group whose kinds are used.

    Args:
        name: of the group.
        version: of the group.
        install: what to do where the kinds are not installed, for messages.
    """

    name: str
    version: str
    install: str

    @property
    def api_version(self) -> str:
        """The field `apiVersion` of its objects."""
        return f"{self.name}/{self.version}"


OWN = ApiGroup(GROUP, VERSION, _INSTALL)


class Cluster:
    """Access to the resources of a group, by plural name; `namespace` is None for kinds without namespaces.

    All methods raise Conflict, AlreadyExists, NotFound, InvalidInput (the server refuses the object), Unauthenticated
    and Forbidden (it refuses the user), NotServed (it does not know the kind) and StoreBusy (it cannot be reached, or
    asks to try again).

    Args:
        api: the connection.
        patience_seconds: how long to retry while the server is busy or cannot be reached. If a write succeeded but its
            answer was lost, the retry raises Conflict or AlreadyExists.
        group: of the resources.
    """

    def __init__(self, api: client.ApiClient, *, patience_seconds: float = 0.0, group: ApiGroup = OWN) -> None:
        self._api, self._patience, self.group = api, patience_seconds, group
        self._custom = client.CustomObjectsApi(api)

    def get(self, plural: str, name: str, namespace: str | None = None) -> Json | None:
        """Return the object with that name, or None, also for a text that cannot be a name: users write some of them.

        An empty name or `..` would be the path of a list or of the group, whose answer is no object.
        """
        if not _NAME.fullmatch(name):
            return None
        try:
            return self._call("get", plural, namespace, name=name)
        except errors.NotFound:
            return None

    def list_objects(self, plural: str, namespace: str | None = None) -> list[Json]:
        """Return all objects of a kind, or those of a namespace: one consistent state, read page by page."""
        return self.snapshot(plural, namespace)[0]

    def snapshot(self, plural: str, namespace: str | None = None) -> tuple[list[Json], str]:
        """Return the objects, as `list_objects` does, and the version of that state, to watch from."""
        documents: list[Json] = []
        token: str | None = None
        while True:
            options = {"limit": _PAGE_SIZE} if token is None else {"limit": _PAGE_SIZE, "_continue": token}
            try:
                page = self._call("list", plural, namespace, **options)
            except errors.Conflict:  # the state that the pages are read from has expired
                documents, token = [], None
                continue
            documents += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return documents, str(page["metadata"]["resourceVersion"])

    def create(self, plural: str, document: Json) -> Json:
        """Add an object; raises AlreadyExists if the name is taken."""
        return self._call("create", plural, document["metadata"].get("namespace"), body=document)

    def replace(self, plural: str, document: Json, *, status: bool = False) -> Json:
        """Replace an object, or only its status; raises Conflict unless `document` names its current version."""
        identity = document["metadata"]
        call = "replace" if not status else "replace_status"
        return self._call(call, plural, identity.get("namespace"), name=identity["name"], body=document)

    def apply_status(self, plural: str, document: Json, *, manager: str) -> None:
        """Apply the fields of a status that `document` has, as their manager; raises Conflict as `replace` does.

        Args:
            plural: name of the kind.
            document: has the name and the version of the object, and these fields: no others are changed.
            manager: whose the fields are from then on.
        """
        identity = document["metadata"]
        parts = [f"/apis/{self.group.api_version}", plural, identity["name"], STATUS]
        if "namespace" in identity:
            parts[1:1] = ["namespaces", identity["namespace"]]

        def call() -> None:
            self._api.call_api(
                "/".join(parts),
                "PATCH",
                query_params=[("fieldManager", manager), ("force", "true")],
                header_params={"Content-Type": "application/apply-patch+yaml"},
                body={"apiVersion": self.group.api_version, **document},
                auth_settings=["BearerToken"],
                _request_timeout=TIMEOUT_SECONDS,
            )

        self._call_patiently(call, plural, identity.get("namespace"), identity["name"])

    def delete(self, plural: str, document: Json) -> None:
        """Remove an object; raises Conflict unless `document` names its current version."""
        identity = document["metadata"]
        version = client.V1Preconditions(resource_version=identity["resourceVersion"])
        options = client.V1DeleteOptions(preconditions=version)
        self._call("delete", plural, identity.get("namespace"), name=identity["name"], body=options)

    def watch(self, plural: str, version: str, *, seconds: int) -> Iterator[tuple[str, Json]]:
        """Yield what happens to the objects of a kind after `version`, for some time.

        Args:
            plural: name of the kind.
            version: of a list, or of the last event.
            seconds: how long to watch.

        Yields:
            the type of an event, ADDED, MODIFIED, DELETED or BOOKMARK, and the object.

        Raises:
            Conflict: the version is too old to watch from; list again.
        """
        calls = self._custom.list_cluster_custom_object
        options = {"resource_version": version, "allow_watch_bookmarks": True, "timeout_seconds": seconds}
        with _watch_errors(plural), translated(plural, install=self.group.install):
            timeouts, group = (TIMEOUT_SECONDS[0], seconds + TIMEOUT_SECONDS[1]), (self.group.name, self.group.version)
            for event in watch.Watch().stream(calls, *group, plural, _request_timeout=timeouts, **options):
                yield str(event["type"]), event["raw_object"]

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _call(self, verb: str, plural: str, namespace: str | None, **options: Any) -> Json:
        scope = "cluster" if namespace is None else "namespaced"
        where = {} if namespace is None else {"namespace": namespace}
        name = f"{verb.removesuffix('_status')}_{scope}_custom_object{'_status' if verb.endswith('_status') else ''}"
        method: Callable[..., Json] = getattr(self._custom, name)
        group = self.group.name, self.group.version

        def call() -> Json:
            return method(*group, plural=plural, _request_timeout=TIMEOUT_SECONDS, **where, **options)

        return self._call_patiently(call, plural, namespace, options.get("name"))

    def _call_patiently(self, request: Callable[[], T], plural: str, namespace: str | None, name: str | None) -> T:
        what = "/".join(part for part in (plural, namespace, name) if part)
        seconds, install = self._patience, self.group.install
        return call_patiently(request, what, self._api, timeout_seconds=seconds, install=install)


class _StartingError(errors.StoreBusy):
    """A server that is not ready yet has refused the user or the kind."""

    def __init__(self, refusal: errors.NotServed) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def call_patiently(
    request: Callable[[], T], what: str, api: client.ApiClient, *, timeout_seconds: float, install: str = _INSTALL
) -> T:
    """Make a request and return its answer; while the server is busy or cannot be reached, repeat it.

    A server that has just started refuses every user until it has read its roles and kinds. So NotServed is final only
    if the server said before the request that it is ready.

    Args:
        request: makes the request with the Kubernetes client.
        what: the object, for messages.
        api: the connection.
        timeout_seconds: how long to repeat.
        install: what to do where the kind is not installed, for messages.
    """
    starting_until = time.monotonic() + min(timeout_seconds, _STARTUP_SECONDS)

    def call() -> T:
        with translated(what, install=install):
            return request()

    def call_unless_starting() -> T:
        try:
            return call()
        except errors.NotServed as error:
            if time.monotonic() >= starting_until:
                raise
            if not is_ready(api):
                raise _StartingError(error) from error
            return call()

    try:
        return retries.call(
            call_unless_starting, timeout_seconds=timeout_seconds, back_off=_BACK_OFF, on=errors.StoreBusy
        )
    except _StartingError as error:
        raise error.refusal from None


def is_ready(api: client.ApiClient) -> bool:
    """Whether the API server reports that it is ready."""
    try:
        _, status, _ = api.call_api("/readyz", "GET", auth_settings=["BearerToken"], _request_timeout=TIMEOUT_SECONDS)
    except (ApiException, urllib3.exceptions.HTTPError):
        return False
    return bool(status == 200)


@contextlib.contextmanager
def translated(what: str, *, install: str = _INSTALL) -> Iterator[None]:
    """Translate the errors of the Kubernetes client to those of this project."""
    try:
        yield
    except ApiException as error:
        raise _translation(what, error, install) from error
    except urllib3.exceptions.HTTPError as error:
        raise errors.StoreBusy(f"kubernetes: the API server cannot be reached ({error}); try again") from error


@contextlib.contextmanager
def _watch_errors(plural: str) -> Iterator[None]:
    """Translate the errors of a stream that broke or is not JSON, which the client does not."""
    try:
        yield
    except (ValueError, KeyError) as error:
        raise errors.StoreBusy(f"{plural}: the watch broke ({error}); try again") from error


def _translation(what: str, error: ApiException, install: str) -> errors.PrivateKubeError:
    reason, message = _reason_and_message(error)
    match error.status, reason:
        case 404, "NotFound" if match := _NO_NAMESPACE.fullmatch(message):
            name = match.group(1)
            return errors.NotFound(
                f"namespace {name}: does not exist; create it (kubectl create namespace {name}), or correct namespace"
            )
        case 404, "NotFound":
            return errors.NotFound(f"{what}: is gone ({message})")
        case 404, _:  # the kind is missing; this says nothing about the object
            return errors.NotServed(f"{what}: its kind is not installed; {install}")
        case _, "AlreadyExists":
            return errors.AlreadyExists(f"{what}: exists already; choose another name, or delete it first")
        case ((409 | 410), _):
            return errors.Conflict(f"{what}: was changed meanwhile ({message})")
    return _refusal(what, error.status, message)


def _refusal(what: str, status: int, message: str) -> errors.PrivateKubeError:
    refused = f"{what}: refused by the API server: {message}"
    if status == 401:
        return errors.Unauthenticated(refused)
    if status == 403 and _REFUSED_USER in message:
        return errors.Forbidden(refused)
    if (status in _REFUSALS and _POLICY_NOT_READY not in message) or "too large" in message:
        return errors.InvalidInput(refused)
    return errors.StoreBusy(f"{what}: the API server answered {status} ({message}); try again")


def _reason_and_message(error: ApiException) -> tuple[str, str]:
    """Return the reason and the message of an API server's answer, as far as it has them."""
    try:
        document = json.loads(error.body or "")
        return str(document.get("reason", "")), str(document.get("message", "")).replace("\n", " ")
    except (ValueError, AttributeError):
        return "", str(error.reason)
