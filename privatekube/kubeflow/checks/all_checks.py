"""The checks in the order in which they run: what is known here first, then the host, the cluster, and the places."""

from __future__ import annotations

from privatekube.kubeflow.checks import connection, control_plane, nodes, places
from privatekube.kubeflow.checks.check import Check

CHECKS = (
    Check("arguments", connection.arguments),
    Check("images pinned", connection.pinned),
    Check("host", connection.host),
    Check("sign-in", connection.sign_in),
    Check("namespace", connection.namespace),
    Check("cluster", control_plane.cluster),
    Check("namespaces there", control_plane.namespaces),
    Check("definitions", control_plane.definitions),
    Check("controller", control_plane.controller),
    Check("roles", control_plane.roles),
    Check("blocks", control_plane.blocks),
    Check("budget", control_plane.budget),
    Check("data", places.data),
    Check("results", places.results),
    Check("images", nodes.images),
    Check("nodes", nodes.room),
    Check("GPU", nodes.gpu),
    Check("workspace", nodes.workspace),
)
