"""Stores on the API server of the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from kubernetes.client import CoreV1Api

from privatekube import errors
from privatekube.store import kubernetes
from privatekube.store.cluster import Cluster
from privatekube.store.kubernetes import KubernetesStore
from tests.kubernetes.apiserver import ApiServer


def emptied(server: ApiServer, clock_ns: Callable[[], int] | None = None) -> Callable[[], KubernetesStore]:
    """Remove all that is there; what opens a store on it, again and again."""
    cluster = Cluster(server.api())
    for plural in (*kubernetes.PLURAL.values(), kubernetes.ENTRIES, kubernetes.RETIRED):
        for document in cluster.listed(plural):
            with contextlib.suppress(errors.NotFound):
                cluster.delete(plural, document)
    cluster.close()
    with contextlib.closing(server.api()) as api:
        for found in CoreV1Api(api).list_namespaced_config_map(kubernetes.SYSTEM_NAMESPACE).items:
            if found.metadata.name == kubernetes.SETTINGS:
                CoreV1Api(api).delete_namespaced_config_map(found.metadata.name, kubernetes.SYSTEM_NAMESPACE)

    def opened() -> KubernetesStore:
        on = Cluster(server.api())
        return KubernetesStore(on) if clock_ns is None else KubernetesStore(on, clock_ns=clock_ns)

    return opened
