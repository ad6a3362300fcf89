"""The errors that this library raises on purpose, as one tree.

    PrivateKubeError
    +-- Permanent                 retrying the same call cannot help
    |   +-- InvalidInput          the caller's input is wrong                   exit status 2
    |   |   +-- InvalidBudget     not a budget, or not comparable with another
    |   |   +-- CorruptData       a data file is missing, truncated or altered
    |   |   +-- NotServed         the store refuses the operation for any object
    |   |   |   +-- Forbidden     the user lacks the right
    |   |   |   +-- Unauthenticated  the user's token is not accepted
    |   |   |   +-- NotInstalled  the cluster has no definition of the kind
    |   |   +-- TooLarge          a store does not keep so much in one object
    |   |   +-- MissingExtra      a package that an extra installs is missing
    |   +-- NotFound              no such block, claim or file                  exit status 2
    |   +-- AlreadyExists         the name or the data is registered already    exit status 2
    |   +-- BudgetUnavailable     the requested budget is not available         exit status 3
    |   +-- BudgetExceeded        a run used more than it was granted           exit status 4
    |   +-- DeadlineExceeded      the time limit for waiting has passed         exit status 2
    +-- Temporary                 the same call may succeed later               exit status 1
        +-- Conflict              another writer changed the object first
        +-- Deposed               another controller has taken over
        +-- StoreBusy             the store is locked or cannot be reached
        +-- WorkerLost            one of the processes that work together has ended

The type says whether to retry; see `retries`. A message is one line: name, actual value, bound, what to do. Errors of
other libraries are translated where those libraries are called.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import NamedTuple


class ResourceKind(enum.StrEnum):
    """The kinds of resources that the control plane writes, as in messages and log fields."""

    BLOCK = "block"
    CLAIM = "claim"


class ResourceName(NamedTuple):
    """The name of a block or a claim: its kind, and its id `namespace/name`.

    >>> str(ResourceName(ResourceKind.BLOCK, "ns/day-1"))
    'block ns/day-1'
    """

    kind: ResourceKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class PrivateKubeError(Exception):
    """The base of every error of this library.

    Attributes:
        exit_status: the exit status of a command that fails with this error.
        resource: the block or claim that the error is about; None if it is not about a single one.
        others: errors about other objects, of writes that were made at the same time.

    >>> [kind.exit_status for kind in (StoreBusy, InvalidInput, BudgetUnavailable, BudgetExceeded)]
    [1, 2, 3, 4]
    """

    exit_status = 1
    resource: ResourceName | None = None
    others: tuple[PrivateKubeError, ...] = ()


class Permanent(PrivateKubeError):  # noqa: N818 - a kind of error, read as `except Permanent`
    """The same call will fail again: change the input, or give up.

    >>> issubclass(InvalidInput, Permanent), issubclass(StoreBusy, Permanent)
    (True, False)
    """


class Temporary(PrivateKubeError):  # noqa: N818 - a kind of error, read as `except Temporary`
    """The same call may succeed later: retry it.

    >>> issubclass(StoreBusy, Temporary), issubclass(InvalidInput, Temporary)
    (True, False)
    """


class InvalidInput(Permanent):
    """Raised when an argument, a file or a setting is wrong; the message names it, its value and the bound.

    >>> import privatekube
    >>> privatekube.connect("somewhere")
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: store: 'somewhere' is not a store; write sqlite:///path/to/state.db, or kubernetes
    """

    exit_status = 2


class InvalidBudget(InvalidInput):
    """Raised for a value that is not a budget, or for two budgets of different accounting or orders.

    >>> from privatekube import EpsilonDelta
    >>> EpsilonDelta(float("inf"))
    Traceback (most recent call last):
    privatekube.errors.InvalidBudget: epsilon: inf must be a finite number
    """


class CorruptData(InvalidInput):
    """Raised when a data file or the ledger is missing, truncated, altered or in an unknown format.

    >>> from privatekube.data import block_file
    >>> block_file.read("lost.h5")
    Traceback (most recent call last):
    privatekube.errors.CorruptData: block: lost.h5 is missing; fetch it again
    """


class NotServed(InvalidInput):
    """Raised when a store refuses an operation for any object: the user lacks the right, or the kind is unknown.

    >>> issubclass(NotServed, InvalidInput)
    True
    """


class NotInstalled(NotServed):
    """Raised when a cluster has no definition of a kind of resource, so that it can have none of that kind.

    >>> issubclass(NotInstalled, NotServed)
    True
    """


class Forbidden(NotServed):
    """Raised when the user of a cluster lacks the right to do something.

    >>> issubclass(Forbidden, NotServed)
    True
    """


class Unauthenticated(NotServed):
    """Raised when a cluster does not accept the token of its user: it is wrong or has expired.

    >>> issubclass(Unauthenticated, NotServed)
    True
    """


class TooLarge(InvalidInput):
    """Raised when what is asked for is larger than a store keeps in one object.

    >>> issubclass(TooLarge, InvalidInput)
    True
    """


class MissingExtra(InvalidInput):
    """Raised when a package is missing that an extra of this library installs; the message has the command.

    >>> raise missing_extra(ModuleNotFoundError(name="opendp"))
    Traceback (most recent call last):
    privatekube.errors.MissingExtra: opendp: is not installed; this needs the extra privacy: ...
    """


class NotFound(Permanent):
    """Raised when the named block, claim or file does not exist.

    >>> from privatekube.client.client import BudgetClient
    >>> from privatekube.store.memory import MemoryStore
    >>> BudgetClient(MemoryStore()).get_block("team/monday")
    Traceback (most recent call last):
    privatekube.errors.NotFound: block team/monday: does not exist; see privatekube get blocks
    """

    exit_status = 2


class AlreadyExists(Permanent):
    """Raised when the name, or the same data under another name, is registered already.

    >>> from privatekube.client.client import BudgetClient
    >>> from privatekube.store.memory import MemoryStore
    >>> from privatekube import BlockSpec, EpsilonDelta, ObjectMeta, PrivateDataBlock
    >>> spec = BlockSpec(EpsilonDelta(1.0), dataset="visits", data_source="file:///monday.csv")
    >>> block = PrivateDataBlock(ObjectMeta("monday", "team"), spec)
    >>> client = BudgetClient(MemoryStore())
    >>> created = client.create_blocks([block])
    >>> client.create_blocks([block])
    Traceback (most recent call last):
    privatekube.errors.AlreadyExists: block team/monday: exists with other data; ...
    """

    exit_status = 2


class BudgetUnavailable(Permanent):
    """Raised when the requested budget is not available and waiting would not help.

    >>> from privatekube.client.client import BudgetClient
    >>> from privatekube.store.memory import MemoryStore
    >>> from privatekube import BlockSpec, EpsilonDelta, ObjectMeta, PrivateDataBlock
    >>> spec = BlockSpec(EpsilonDelta(1.0), dataset="visits", data_source="file:///monday.csv")
    >>> block = PrivateDataBlock(ObjectMeta("monday", "team"), spec)
    >>> from privatekube import AllocateRequest, BudgetDemand
    >>> request = AllocateRequest("visits", BudgetDemand(EpsilonDelta(2.0)))
    >>> client = BudgetClient(MemoryStore())
    >>> created = client.create_blocks([block])
    >>> client.allocate("team", "run-1", request, timeout_seconds=60)
    Traceback (most recent call last):
    privatekube.errors.BudgetUnavailable: ...
    """

    exit_status = 3


class BudgetExceeded(Permanent):
    """Raised when a run used, or tried to commit, more than it was granted, or to release what it has used.

    >>> from privatekube.client.client import BudgetClient
    >>> from privatekube.store.memory import MemoryStore
    >>> from privatekube import BlockSpec, EpsilonDelta, ObjectMeta, PrivateDataBlock
    >>> spec = BlockSpec(EpsilonDelta(1.0), dataset="visits", data_source="file:///monday.csv")
    >>> block = PrivateDataBlock(ObjectMeta("monday", "team"), spec)
    >>> from privatekube import AllocateRequest, BudgetDemand
    >>> request = AllocateRequest("visits", BudgetDemand(EpsilonDelta(0.5)))
    >>> client = BudgetClient(MemoryStore())
    >>> created = client.create_blocks([block])
    >>> claim = client.allocate("team", "run-1", request, timeout_seconds=60)
    >>> client.mark_opened(claim.id)
    >>> client.release(claim.id)
    Traceback (most recent call last):
    privatekube.errors.BudgetExceeded: claim team/run-1: its data was opened, ...
    """

    exit_status = 4


class DeadlineExceeded(Permanent):
    """Raised when the time limit for waiting has passed.

    >>> from privatekube.client.client import BudgetClient
    >>> from privatekube.store.memory import MemoryStore
    >>> from privatekube import BlockSpec, EpsilonDelta, ObjectMeta, PrivateDataBlock
    >>> spec = BlockSpec(EpsilonDelta(1.0), dataset="visits", data_source="file:///monday.csv")
    >>> block = PrivateDataBlock(ObjectMeta("monday", "team"), spec)
    >>> from privatekube import AllocateRequest, BudgetDemand
    >>> request = AllocateRequest("visits", BudgetDemand(EpsilonDelta(0.5)))
    >>> client = BudgetClient(MemoryStore())
    >>> client.set_policy(order="dpf", unlock="n=100")
    >>> created = client.create_blocks([block])
    >>> client.allocate("team", "run-1", request, timeout_seconds=0.01)
    Traceback (most recent call last):
    privatekube.errors.DeadlineExceeded: claim team/run-1: not granted within 0.01 s; ...
    """

    exit_status = 2


class Conflict(Temporary):
    """Raised when another writer changed an object first: read it again, then repeat the change.

    >>> from privatekube import BlockSpec, EpsilonDelta, ObjectMeta, PrivateDataBlock
    >>> spec = BlockSpec(EpsilonDelta(1.0), dataset="visits", data_source="file:///monday.csv")
    >>> block = PrivateDataBlock(ObjectMeta("monday", "team"), spec)
    >>> from privatekube.store.memory import MemoryStore
    >>> store = MemoryStore()
    >>> read = store.create(block)
    >>> written = store.update(read)
    >>> store.update(read)
    Traceback (most recent call last):
    privatekube.errors.Conflict: ...
    """


class Deposed(Temporary):
    """Raised in a controller when another one has taken over: this one must not write any more.

    >>> issubclass(Deposed, Temporary)
    True
    """


class StoreBusy(Temporary):
    """Raised when the store is locked by another process or cannot be reached.

    >>> issubclass(StoreBusy, Temporary)
    True
    """


class WorkerLost(Temporary):
    """Raised when one of several processes that work together has ended before the work.

    >>> issubclass(WorkerLost, Temporary)
    True
    """


EXTRAS = {
    "cryptography": "scheduling",
    "boto3": "s3",
    "botocore": "s3",
    "docker": "images",
    "dp_accounting": "accounting",
    "google": "gcs",
    "h5py": "data",
    "jinja2": "page",
    "kfp": "pipeline",
    "kubernetes": "cluster",
    "numpy": "scheduling",
    "opacus": "training",
    "opendp": "privacy",
    "pandas": "dataframes",
    "prometheus_client": "controller",
    "py4j": "spark",
    "pyarrow": "tables",
    "pyspark": "spark",
    "pythonjsonlogger": "controller",
    "requests": "images",
    "safetensors": "vectors",
    "scipy": "accounting",
    "sse_starlette": "page",
    "starlette": "page",
    "tokenizers": "tables",
    "torch": "training",
    "uvicorn": "page",
    "wordfreq": "tables",
    "wordllama": "vectors",
}
"""The smallest extra that installs a module."""
REQUIRED = frozenset({"pydantic", "rich", "tenacity", "typer", "typing_extensions", "yaml"})
"""Modules that all parts need: a Python that lacks one is not the one that this project is installed in."""


def missing_extra(error: ImportError, *, extra: str | None = None) -> MissingExtra | None:
    """Return the error to raise for a module that cannot be imported; None for a module of another project.

    A module that all parts need is missing where another Python runs than the one with the packages; the error says so.

    Args:
        error: what the import raised.
        extra: the extra that a whole command needs; by default the one that installs the module.

    Example:
        >>> str(missing_extra(ModuleNotFoundError(name="kubernetes.client")))
        "kubernetes: is not installed; this needs the extra cluster: pip install 'privatekube[cluster]'"
    """
    module = (error.name or "").partition(".")[0]
    if module in REQUIRED:
        remedy = "activate the environment of make setup (. .venv/bin/activate), or pip install privatekube"
        return MissingExtra(f"{module}: is not installed in this Python; {remedy}")
    if module not in EXTRAS:
        return None
    name = extra or EXTRAS[module]
    return MissingExtra(f"{module}: is not installed; this needs the extra {name}: pip install 'privatekube[{name}]'")


@contextlib.contextmanager
def naming_extra(extra: str | None = None) -> Iterator[None]:
    """Name the extra that installs what the block imports and does not find.

    Args:
        extra: the extra that all of it needs; by default the one that installs the module.

    Raises:
        MissingExtra: a module of an extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        missing = missing_extra(error, extra=extra)
        if missing is None:
            raise
        raise missing from error


def invalid(name: str, value: object, bound: str, remedy: str) -> InvalidInput:
    """Return an error whose one line has the name of an input, its value, the bound and what to do.

    >>> str(invalid("epsilon", 0, "must be above 0", "set a positive number"))
    'epsilon: 0 must be above 0; set a positive number'
    """
    return InvalidInput(f"{name}: {value!r} {bound}; {remedy}")
