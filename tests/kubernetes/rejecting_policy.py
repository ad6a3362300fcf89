"""An admission policy that rejects every status of one object, as the server rejects one that is too large."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from privatekube import errors
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes.apiserver import ApiServer

_POLICY = Path(__file__).resolve().parent.parent / "samples" / "refusing-policy.yaml"


@contextlib.contextmanager
def reject_poison(apiserver: ApiServer, store: KubernetesStore) -> Iterator[None]:
    """Reject every status of a claim or block called `poison` while the context is open."""
    apiserver.kubectl("apply", "-f", str(_POLICY))
    try:
        waiting.until(lambda: _is_in_force(store))
        yield
    finally:
        apiserver.kubectl("delete", "-f", str(_POLICY))


def _is_in_force(store: KubernetesStore) -> bool:
    """Whether the policy has taken effect; it takes a moment."""
    with contextlib.suppress(errors.NotFound, errors.Conflict):
        stored = store.get_claim("ns/poison") or store.create(builders.claim("poison"))
        try:
            store.update_status(stored)
        except errors.InvalidInput:
            store.delete(stored)
            return True
    return False
