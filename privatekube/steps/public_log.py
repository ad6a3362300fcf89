"""The only lines that components log while they read private data: an allow-list of messages with public fields.

A pod's log is an output. These lines depend on the arguments, the plan and the control plane, never on a record.
"""

from __future__ import annotations

import sys

MESSAGES = {
    "claiming": "claiming {demand} on {blocks} as {claim}",
    "waiting": "waiting for budget, {seconds} s left before the deadline",
    "granted": "granted {blocks} to {claim}",
    "fetched": "fetched block {done} of {total}",
    "counted": "released noisy counts at scale {scale:.4g}",
    "searching": "training several models, of which the best one is released",
    "steps": "training steps by {name}{reason}",
    "training": "noisy step {done} of {total}",
    "evaluated": "released noisy test counts at scale {scale:.4g}",
    "kept": "finished before with the same inputs: its output is kept",
    "committed": "committed {budget} on {blocks}",
    "unsigned": "the card is not signed: a statement on {blocks} is more than a store takes",
    "published": "published to {location}",
    "settled": "run ended {state}; settled {claim}: {outcome}",
}


def say(message: str, **public: object) -> None:
    """Write the allowed `message` filled with `public` fields to stdout.

    Raises:
        KeyError: the message is not on the allow-list, or a field is missing.
    """
    sys.stdout.write(MESSAGES[message].format(**public) + "\n")
    sys.stdout.flush()
