"""Privacy budget as a resource: claim it for a pipeline, train with differential privacy, consume it, publish.

This module is the public API. Everything else may change between releases.

>>> import tempfile
>>> import privatekube
>>> request = privatekube.AllocateRequest(
...     dataset="reviews",
...     expected_budget=privatekube.BudgetDemand(privatekube.EpsilonDelta(1.0, 1e-9)),
... )
>>> with tempfile.TemporaryDirectory() as folder, privatekube.connect(f"sqlite:///{folder}/state.db") as client:
...     try:
...         client.allocate("team", "run-1", request, timeout_seconds=60)
...     except privatekube.InvalidInput:
...         print("no block of the dataset reviews exists in the namespace team")
no block of the dataset reviews exists in the namespace team

A name is imported when it is first used: `import privatekube` itself loads no other package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from privatekube.client.client import BudgetClient
    from privatekube.client.passes import Outcome
    from privatekube.data.any_block import read_block
    from privatekube.errors import (
        AlreadyExists,
        BudgetExceeded,
        BudgetUnavailable,
        Conflict,
        CorruptData,
        DeadlineExceeded,
        Deposed,
        Forbidden,
        InvalidBudget,
        InvalidInput,
        MissingExtra,
        NotFound,
        NotInstalled,
        NotServed,
        Permanent,
        PrivateKubeError,
        StoreBusy,
        Temporary,
        TooLarge,
        Unauthenticated,
        WorkerLost,
    )
    from privatekube.interactive.client import RunClient
    from privatekube.interactive.connect import connect
    from privatekube.interactive.run import Run
    from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
    from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
    from privatekube.resources.meta import ObjectMeta
    from privatekube.resources.requests import AllocateRequest, BudgetDemand, RegisterRequest
    from privatekube.steps.documents import Grant, Metrics, Receipt, Spend, Statistics

__version__ = "0.1.0"

__all__ = [
    "AllocateRequest",
    "AlreadyExists",
    "BlockSpec",
    "BudgetClient",
    "BudgetDemand",
    "BudgetExceeded",
    "BudgetUnavailable",
    "Conflict",
    "CorruptData",
    "DeadlineExceeded",
    "Deposed",
    "Dimension",
    "EpsilonDelta",
    "Forbidden",
    "Grant",
    "InvalidBudget",
    "InvalidInput",
    "Metrics",
    "MissingExtra",
    "NotFound",
    "NotInstalled",
    "NotServed",
    "ObjectMeta",
    "Outcome",
    "Permanent",
    "PrivateDataBlock",
    "PrivateKubeError",
    "Receipt",
    "RegisterRequest",
    "RenyiCurve",
    "Run",
    "RunClient",
    "Spend",
    "Statistics",
    "StoreBusy",
    "Temporary",
    "TooLarge",
    "Unauthenticated",
    "WorkerLost",
    "__version__",
    "connect",
    "read_block",
]

_MODULES = {
    "AllocateRequest": "resources.requests",
    "BlockSpec": "resources.block",
    "BudgetClient": "client.client",
    "BudgetDemand": "resources.requests",
    "Dimension": "resources.block",
    "EpsilonDelta": "privacy.budget",
    "Grant": "steps.documents",
    "Metrics": "steps.documents",
    "ObjectMeta": "resources.meta",
    "Outcome": "client.passes",
    "PrivateDataBlock": "resources.block",
    "Receipt": "steps.documents",
    "RegisterRequest": "resources.requests",
    "RenyiCurve": "privacy.budget",
    "Run": "interactive.run",
    "RunClient": "interactive.client",
    "Spend": "steps.documents",
    "Statistics": "steps.documents",
    "connect": "interactive.connect",
    "read_block": "data.any_block",
}
"""The module of each public name; the errors are in `errors`."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
