"""The errors of this project, as one tree.

    PrivateKubeError
    +-- Permanent                 retrying the same call cannot help
    |   +-- InvalidInput          what the caller gave is wrong                 exit status 2
    |   |   +-- InvalidBudget     not a budget, or of another type than its peer
    |   |   +-- CorruptData       a data file is missing, truncated or altered
    |   |   +-- NotServed         the store does not do that, whatever the object
    |   +-- NotFound              no such block, claim or file                  exit status 2
    |   +-- AlreadyExists         the name or the data is taken                 exit status 2
    |   +-- BudgetUnavailable     the budget asked for is not there             exit status 3
    |   +-- BudgetExceeded        a run used more than it was granted           exit status 4
    |   +-- DeadlineExceeded      waited as long as was allowed                 exit status 2
    +-- Temporary                 the same call may succeed later
        +-- Conflict              somebody else wrote first
        +-- Deposed               another controller has taken over
        +-- StoreBusy             the store is locked or unreachable

Whether to retry is the type. A message is one line: the name of the thing, its value, the bound, what to do.
"""

from __future__ import annotations


class PrivateKubeError(Exception):
    """Base of every error this project raises on purpose; `exit_status` is what a command ends with.

    `resource` is the one object that could not be worked on, where the control plane knows it: `block namespace/name`.
    """

    exit_status = 1
    resource: str | None = None


class Permanent(PrivateKubeError):  # noqa: N818 - a kind of error, read as `except Permanent`
    """Retrying the same call cannot help."""


class Temporary(PrivateKubeError):  # noqa: N818 - a kind of error, read as `except Temporary`
    """The same call may succeed later."""


class InvalidInput(Permanent):
    """What the caller gave is wrong."""

    exit_status = 2


class InvalidBudget(InvalidInput):
    """A budget that is no budget, or of another type than the one it meets."""


class CorruptData(InvalidInput):
    """A data file is missing, truncated, altered or in an unknown format."""


class NotServed(InvalidInput):
    """The store does not do that, whatever the object: this user may not, or it does not know the kind."""


class NotFound(Permanent):
    """The named block, claim or file does not exist."""

    exit_status = 2


class AlreadyExists(Permanent):
    """The name, or the same data, is registered already."""

    exit_status = 2


class BudgetUnavailable(Permanent):
    """The budget asked for is not there and waiting would not bring it."""

    exit_status = 3


class BudgetExceeded(Permanent):
    """A run used, or tried to commit, more than it was granted."""

    exit_status = 4


class DeadlineExceeded(Permanent):
    """Waited as long as was allowed."""

    exit_status = 2


class Conflict(Temporary):
    """Somebody else wrote the object first: read it again."""


class Deposed(Temporary):
    """Another controller has taken over: nothing may be written any more."""


class StoreBusy(Temporary):
    """The store is locked by another process or cannot be reached."""


def invalid(name: str, value: object, bound: str, remedy: str) -> InvalidInput:
    """One line that names the thing, its value, the bound and what to do.

    >>> str(invalid("epsilon", 0, "must be above 0", "set a positive number"))
    'epsilon: 0 must be above 0; set a positive number'
    """
    return InvalidInput(f"{name}: {value!r} {bound}; {remedy}")
