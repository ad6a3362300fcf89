"""Custom resources on a Kubernetes API server, as JSON: those of this project, or of another group."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes import client, watch

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.api_calls import INSTALL, TIMEOUT_SECONDS, call_patiently, translated

GROUP, VERSION = meta.GROUP, meta.API_VERSION.rpartition("/")[2]
STATUS = "status"
_PAGE_SIZE = 500
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


OWN = ApiGroup(GROUP, VERSION, INSTALL)


class Cluster:
    """Access to the resources of a group, by plural name; `namespace` is None for kinds without namespaces.

    All methods raise Conflict, AlreadyExists, NotFound, InvalidInput (the server refuses the object), Unauthenticated
    and Forbidden (it refuses the user), NotInstalled (it does not know the kind) and StoreBusy (it cannot be reached,
    or asks to try again).

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
        timeouts, group = (TIMEOUT_SECONDS[0], seconds + TIMEOUT_SECONDS[1]), (self.group.name, self.group.version)
        options = {"resource_version": version, "allow_watch_bookmarks": True, "timeout_seconds": seconds}

        # without the docstring of the client's method, by whose type each event would be encoded and decoded once more
        def open_stream(**given: Any) -> Any:
            return self._custom.list_cluster_custom_object(*group, plural, _request_timeout=timeouts, **given)

        with _watch_errors(plural), translated(plural, install=self.group.install):
            for event in watch.Watch().stream(open_stream, **options):
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


@contextlib.contextmanager
def _watch_errors(plural: str) -> Iterator[None]:
    """Translate the errors of a stream that broke or is not JSON, which the client does not."""
    try:
        yield
    except (ValueError, KeyError) as error:
        raise errors.StoreBusy(f"{plural}: the watch broke ({error}); try again") from error
