"""Stores on the API server of the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from kubernetes.client import CoordinationV1Api, CoreV1Api

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kubernetes import store
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests.kubernetes.apiserver import ApiServer


def _delete(cluster: Cluster, plural: str, document: Json) -> None:
    """Remove an object whatever keeps it, and however often it is changed meanwhile."""
    name, namespace = document["metadata"]["name"], document["metadata"].get("namespace")
    while (found := cluster.get(plural, name, namespace)) is not None:
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            if found["metadata"].pop("finalizers", None):
                found = cluster.replace(plural, found)
            if "deletionTimestamp" not in found["metadata"]:
                cluster.delete(plural, found)


def emptied(server: ApiServer, clock: Clock = SYSTEM) -> Callable[[], KubernetesStore]:
    """Remove all that is there, a killed controller's lease too; what opens a store on it, again and again."""
    cluster = Cluster(server.api())
    for plural in (*store.PLURAL.values(), store.ENTRIES, store.RETIRED):
        for document in cluster.listed(plural):
            _delete(cluster, plural, document)
    cluster.close()
    with contextlib.closing(server.api()) as api:
        for found in CoreV1Api(api).list_namespaced_config_map(store.SYSTEM_NAMESPACE).items:
            if found.metadata.name == store.SETTINGS:
                CoreV1Api(api).delete_namespaced_config_map(found.metadata.name, store.SYSTEM_NAMESPACE)
        for lease in CoordinationV1Api(api).list_namespaced_lease(store.SYSTEM_NAMESPACE).items:
            CoordinationV1Api(api).delete_namespaced_lease(lease.metadata.name, store.SYSTEM_NAMESPACE)

    return lambda: opened(server, clock)


def opened(server: ApiServer, clock: Clock = SYSTEM) -> KubernetesStore:
    """Open a store on what is there."""
    return KubernetesStore(Cluster(api := server.api()), CoreObjects(api), clock=clock)
