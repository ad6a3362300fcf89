"""Epochs, as objects name them: which term of the lease wrote an object last.

An epoch counts where only a controller can write it: in a status, and in the lease. Any user who may change an object
may annotate it; an annotation counts only up to the epoch of the lease, which nobody else can write. So no annotation
deposes the controller that leads.
"""

from __future__ import annotations

from privatekube.resources.wire.common import Json

STATUS_FIELD = "controllerEpoch"
"""Field of every status that a controller writes: its epoch, see `controller_store`."""
ANNOTATION = "privacy.columbia.github.com/controller-epoch"
"""Annotation with the epoch, on an object whose status the API server refuses."""
LARGEST = 10**9
"""A larger epoch was not counted but forged: it would take thirty years with a new leader each second.

It leaves room in the lease, whose counter of terms has 32 bits.
"""
_DIGITS = len(str(LARGEST))


def of_status(document: Json) -> int:
    """Return the epoch of the controller that wrote an object's status last; 0 if none did."""
    status = document.get("status")
    epoch = status.get(STATUS_FIELD) if isinstance(status, dict) else None
    return epoch if isinstance(epoch, int) and 0 <= epoch <= LARGEST else 0


def of_annotation(document: Json) -> int:
    """Return the epoch in an object's annotation, which any user may have written; 0 if there is none."""
    text = (document["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    is_number = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return min(int(text), LARGEST) if is_number else 0


def of_lease(lease: Json | None) -> int:
    """Return the epoch of a lease; 0 for one that does not exist or was forged: counting starts over."""
    epoch: int = 0 if lease is None else (lease.get("spec") or {}).get("leaseTransitions") or 0
    return epoch if 0 <= epoch < LARGEST else 0
