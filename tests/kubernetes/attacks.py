"""What an adversary sends to the API server, and what the server says."""

from __future__ import annotations

import json
from typing import Any

from tests.kubernetes.apiserver import ApiServer

Json = dict[str, Any]

FORBIDDEN = "is forbidden: User"
"""RBAC's answer."""
CLAIM, BLOCK = ("pbc", "c", "-n", "ns"), ("pb", "b", "-n", "ns")


def create(apiserver: ApiServer, document: Json, *, user: str, status: int = 0) -> str:
    """Create an object as a user, and return what kubectl prints."""
    return apiserver.kubectl("create", "-f", "-", user=user, stdin=json.dumps(document), status=status)


def patch(apiserver: ApiServer, change: Json | list[Json], *, user: str, of: tuple[str, ...] = CLAIM) -> str:
    """Try to change an object, and return what the server said; empty if it accepted the change."""
    kind = "json" if isinstance(change, list) else "merge"
    try:
        apiserver.kubectl("patch", *of, f"--type={kind}", "-p", json.dumps(change), user=user)
    except AssertionError as refused:
        return str(refused)
    return ""


def appended(request: Json) -> list[Json]:
    """Return the patch that appends a request to a claim."""
    return [{"op": "add", "path": "/spec/requests/-", "value": request}]
