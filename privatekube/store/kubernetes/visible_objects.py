"""What one user may read of a cluster: of a kind that it may not list everywhere, what some namespaces have.

What is refused is missing, and named in `gaps`. The API server decides at each reading; only a refusal is remembered
for a moment, so that a user with rights in one of many namespaces does not cost it a request for each of the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from kubernetes import client
from typing_extensions import override

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.ledger_chain import ENTRIES
from privatekube.store.kubernetes.store import RETIRED

_ASK_AGAIN_SECONDS = 60.0
_MOST_NAMED = 5
"""How many namespaces a message names."""
_WITHOUT_NAMESPACE = {
    ENTRIES: "the ledger: nothing here knows what was spent by whom, or when",
    RETIRED: "the records of deleted blocks",
}
"""The kinds that belong to no namespace, in words, with what their absence means."""
_SERVICE_ACCOUNT = "system:serviceaccount:"


class VisibleObjects(Cluster):
    """The resources of the group that the user of a connection may read.

    Args:
        api: the connection.
        core: access to Kubernetes' own objects by the same connection.
        namespaces: those to look into for a user who may not read all; if none is given, those that it may list. The
            namespace of a service account is looked into in any case.
        elapsed_seconds: a clock that nobody sets.
    """

    def __init__(
        self,
        api: client.ApiClient,
        core: CoreObjects,
        *,
        namespaces: Sequence[str] = (),
        elapsed_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(api)
        self._core, self._named, self._elapsed_seconds = core, namespaces, elapsed_seconds
        self._refused: dict[tuple[str, str | None], float] = {}
        """When a kind was refused last in a namespace; in all of them at once where that is None."""

    @override
    def list_objects(self, plural: str, namespace: str | None = None) -> list[Json]:
        """Return those objects of a kind that the user may read, of all namespaces or of one.

        Raises:
            Forbidden: the user may read blocks nowhere.
        """
        listed = self._allowed(plural, namespace)
        if listed is None and namespace is None and plural not in _WITHOUT_NAMESPACE:
            parts = [self._allowed(plural, name) for name in self._namespaces(plural)]
            if plural == kinds.BLOCK.plural and all(part is None for part in parts):
                raise errors.Forbidden(f"{self._core.user()}: may read no block; ask for the role privatekube-viewer")
            listed = [document for part in parts for document in part or ()]
        return listed or []

    def gaps(self) -> list[str]:
        """Return what the user was refused, a line each."""
        gaps = [
            f"no access to {words}" for plural, words in _WITHOUT_NAMESPACE.items() if (plural, None) in self._refused
        ]
        hidden = self._refused_namespaces(kinds.BLOCK.plural)
        partly = {plural: self._refused_namespaces(plural) - hidden for plural, _ in self._refused}
        gaps += [f"no access to {_in_words(hidden)}"] if hidden else []
        return gaps + [f"no access to {plural} in {_in_words(names)}" for plural, names in partly.items() if names]

    def _allowed(self, plural: str, namespace: str | None) -> list[Json] | None:
        """Return the objects of a kind in a namespace; None if the user may not list them."""
        now, key = self._elapsed_seconds(), (plural, namespace)
        if key in self._refused and now < self._refused[key] + _ASK_AGAIN_SECONDS:
            return None
        try:
            listed = super().list_objects(plural, namespace)
        except errors.Forbidden:
            self._refused[key] = now
            return None
        allowed = {name for kind, name in self._refused if kind == plural} if namespace is None else {namespace}
        for name in allowed:
            self._refused.pop((plural, name), None)
        return listed

    def _refused_namespaces(self, plural: str) -> set[str]:
        return {name for kind, name in self._refused if kind == plural and name is not None}

    def _namespaces(self, plural: str) -> list[str]:
        """Return the namespaces to look into; for other kinds than blocks not those whose blocks are refused."""
        names = set(self._named or self._listed_namespaces())
        user = self._core.user()
        if user.startswith(_SERVICE_ACCOUNT):
            names.add(user.removeprefix(_SERVICE_ACCOUNT).partition(":")[0])
        return sorted(names if plural == kinds.BLOCK.plural else names - self._refused_namespaces(kinds.BLOCK.plural))

    def _listed_namespaces(self) -> list[str]:
        try:
            return self._core.namespaces()
        except errors.Forbidden:
            return []


def _in_words(namespaces: Iterable[str]) -> str:
    """Return the names of some namespaces, and how many more there are.

    >>> _in_words({"b", "a"}), _in_words({"a"})
    ('namespaces a, b', 'namespace a')
    """
    names = sorted(namespaces)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"namespace{'s' if len(names) > 1 else ''} {', '.join(names[:_MOST_NAMED])}{more}"
