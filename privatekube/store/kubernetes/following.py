"""Follow all objects of one kind: list them, then watch them, and list them again where the watch is too old."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NoReturn

from privatekube import errors, retries
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.custom_objects import Cluster

_WATCH_SECONDS = 240
_BACK_OFF = retries.BackOff(first_seconds=0.1, longest_seconds=5.0)
_log = logging.getLogger(__name__)


def start(
    cluster: Cluster, plural: str, fill: Callable[[], str], handle: Callable[[str, Json], None]
) -> threading.Thread:
    """Follow the objects of a kind in a thread that runs until the process ends, and return it.

    Args:
        cluster: access to the objects.
        plural: name of the kind.
        fill: lists all objects, and returns the version to watch from.
        handle: takes over what happened to an object since: ADDED, MODIFIED or DELETED, and the object.
    """
    arguments = (cluster, plural, fill, handle)
    thread = threading.Thread(target=_follow, args=arguments, name=f"watch {plural}", daemon=True)
    thread.start()
    return thread


def _follow(cluster: Cluster, plural: str, fill: Callable[[], str], handle: Callable[[str, Json], None]) -> NoReturn:
    version, pauses = "", retries.Pauses(_BACK_OFF)
    told: type[Exception] | None = None
    while True:
        try:
            version = version or fill()
            for event, document in cluster.watch(plural, version, seconds=_WATCH_SECONDS):
                version = document["metadata"]["resourceVersion"]
                if event != "BOOKMARK":
                    handle(event, document)
                told = None
                pauses.reset()
        except errors.Conflict:  # the version is too old to watch from
            version = ""
        except errors.PrivateKubeError as error:
            if type(error) is not told:  # once, and not at each attempt
                told = type(error)
                _log.warning("not watched yet: %s", error, extra={"kind": plural})
            pauses.sleep()
        except Exception:  # noqa: BLE001 - a defect must not end the watch: all later changes would be missed
            _log.exception("the watch failed, and starts over", extra={"kind": plural})
            version = ""
            pauses.sleep()
