"""Stores on the API server of the tests."""

from __future__ import annotations

import contextlib

from kubernetes.client import ApiClient, CoordinationV1Api, CoreV1Api

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kubernetes import ledger_chain, store
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests.kubernetes.apiserver import ApiServer


def clear(server: ApiServer) -> None:
    """Delete everything that tests created, the lease of a killed controller too."""
    cluster = Cluster(server.api())
    for plural in (
        *(kind.plural for kind in kinds.KINDS),
        ledger_chain.ENTRIES,
        store.RETIRED,
        store.DATA_IDENTITIES,
        store.QUOTAS,
        store.APPROVALS,
    ):
        for document in cluster.list_objects(plural):
            _delete(cluster, plural, document)
    cluster.close()
    with contextlib.closing(server.api()) as api:
        for config_map in CoreV1Api(api).list_namespaced_config_map(store.SYSTEM_NAMESPACE).items:
            if config_map.metadata.name == store.SETTINGS:
                CoreV1Api(api).delete_namespaced_config_map(config_map.metadata.name, store.SYSTEM_NAMESPACE)
        for secret in CoreV1Api(api).list_namespaced_secret(store.SYSTEM_NAMESPACE).items:
            if secret.metadata.name.startswith("privatekube-"):
                CoreV1Api(api).delete_namespaced_secret(secret.metadata.name, store.SYSTEM_NAMESPACE)
        for namespace in _namespaces_of_events(api):  # else a test takes those of another for its own
            CoreV1Api(api).delete_collection_namespaced_event(namespace)
        for lease in CoordinationV1Api(api).list_namespaced_lease(store.SYSTEM_NAMESPACE).items:
            CoordinationV1Api(api).delete_namespaced_lease(lease.metadata.name, store.SYSTEM_NAMESPACE)


def _namespaces_of_events(api: ApiClient) -> set[str]:
    """Return the namespaces that have Events about objects of this project."""
    events = CoreV1Api(api).list_event_for_all_namespaces().items
    named = [event for event in events if (event.involved_object.api_version or "").startswith(meta.GROUP)]
    return {event.metadata.namespace for event in named}


def _delete(cluster: Cluster, plural: str, document: Json) -> None:
    """Delete an object despite its finalizers and concurrent changes."""
    name, namespace = document["metadata"]["name"], document["metadata"].get("namespace")
    while (current := cluster.get(plural, name, namespace)) is not None:
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            if current["metadata"].pop("finalizers", None):
                current = cluster.replace(plural, current)
            if "deletionTimestamp" not in current["metadata"]:
                cluster.delete(plural, current)


def open_store(server: ApiServer, clock: Clock = SYSTEM) -> KubernetesStore:
    """Open a store on what the server has."""
    return KubernetesStore(Cluster(api := server.api()), CoreObjects(api), clock=clock)


def open_empty(server: ApiServer, clock: Clock = SYSTEM) -> KubernetesStore:
    """Clear the server and open a store on it."""
    clear(server)
    return open_store(server, clock)
