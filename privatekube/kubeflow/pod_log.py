"""Read the log of a step's pod: the last line that the step wrote, and the exit status that KFP's launcher reports.

KFP shows exit status 1 for whatever status a step ended with; the launcher's own last line has the real one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = re.compile(r'[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+|time="|\{"time":')
"""How lines of the launcher (klog) and of Argo begin."""
_STATUS = re.compile(r"exit status (\d+)")
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended.

    Args:
        exit_status: of its command; 1 if the log does not tell.
        line: the last line that it wrote; empty if there is none.
    """

    exit_status: int
    line: str


def end_of_failed(log: str) -> StepEnd:
    """Return how the step ended that has failed with this log.

    >>> log = ["counting", "error: budget: refused", "F1126 20:00:00.000001 19 main.go:54] failed: exit status 3"]
    >>> end_of_failed(chr(10).join(log))
    StepEnd(exit_status=3, line='error: budget: refused')
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    frame = [line for line in lines if _FRAME.match(line)]
    own = [line for line in lines if not _FRAME.match(line)]
    statuses = [int(match.group(1)) for line in frame for match in _STATUS.finditer(line)]
    reason = next((line for line in reversed(own) if line.startswith("error: ")), own[-1] if own else "")
    if not own and frame:
        reason = frame[-1].partition("] ")[2] or frame[-1]
    return StepEnd(next((status for status in reversed(statuses) if 0 < status < 256), 1), reason[:_LONGEST])
