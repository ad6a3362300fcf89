"""Translate what the drivers of remote stores raise: gcsfs, s3fs, and the libraries that they call.

A store that refuses a request (401, 403, a wrong address) is a permanent error: the same request fails again. A store
that is busy (429, 5xx) or does not answer is temporary. Drivers are recognized by the names of their exception classes,
because a driver is imported only when its store is used.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator

from privatekube import errors

DRIVERS = {"gs": "gcsfs", "s3": "s3fs"}
"""The package that fsspec needs for a scheme."""


class _Fault(enum.Enum):
    """What an error says about the request."""

    MISSING = enum.auto()
    EXISTS = enum.auto()
    REFUSED = enum.auto()
    UNANSWERED = enum.auto()


_FAULTS = {
    "builtins.FileNotFoundError": _Fault.MISSING,
    "builtins.FileExistsError": _Fault.EXISTS,
    "builtins.PermissionError": _Fault.REFUSED,
    "builtins.ValueError": _Fault.REFUSED,
    "builtins.Exception": _Fault.UNANSWERED,
    "aiohttp.ClientError": _Fault.UNANSWERED,
    "aiohttp.ClientConnectorCertificateError": _Fault.REFUSED,
    "aiohttp.InvalidURL": _Fault.REFUSED,
    "botocore.BotoCoreError": _Fault.REFUSED,
    "botocore.ChecksumError": _Fault.UNANSWERED,
    "botocore.ConnectionError": _Fault.UNANSWERED,
    "botocore.FlexibleChecksumError": _Fault.UNANSWERED,
    "botocore.HTTPClientError": _Fault.UNANSWERED,
    "botocore.IncompleteReadError": _Fault.UNANSWERED,
    "gcsfs.NonRetryableError": _Fault.REFUSED,
    "google.GoogleAuthError": _Fault.REFUSED,
    "google.TimeoutError": _Fault.UNANSWERED,
    "google.TransportError": _Fault.UNANSWERED,
    "requests.RequestException": _Fault.UNANSWERED,
}
"""What the first base class of an error that is listed here says, by its package and name."""

_REFUSED_NUMBERS = {errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENAMETOOLONG, errno.EMSGSIZE, errno.ENOTEMPTY}
"""Numbers of the system that s3fs gives to answers 400, 405 and the like."""
_STATUSES = {404: _Fault.MISSING, 408: _Fault.UNANSWERED, 412: _Fault.EXISTS, 429: _Fault.UNANSWERED}
_FORBIDDEN = "Forbidden: "
_LONGEST_REASON = 160


def translation(error: Exception, place: str) -> errors.PrivateKubeError:
    """Return the error of this library that states in one line what a driver reported about `place`."""
    if isinstance(error, ImportError):
        missing = errors.missing_extra(ImportError(name=DRIVERS[place.partition("://")[0]]))
        return missing or errors.invalid("file", place, f"needs a driver ({error})", "install it")
    fault, reason = _fault(error), _reason(error)
    if fault is _Fault.MISSING:
        return errors.NotFound(f"file: {place} does not exist; check the name")
    if fault is _Fault.EXISTS:
        return errors.AlreadyExists(f"file: {place} exists; choose another name")
    if fault is _Fault.REFUSED:
        return errors.InvalidInput(
            f"file: {place} is refused by the store ({reason}); check address, credentials and permissions"
        )
    return errors.Temporary(f"file: {place} cannot be reached ({reason}); check the network, or try again later")


def _fault(error: Exception) -> _Fault:
    status = _status(error)
    if status == 403 and "rate limit" in str(error).lower().replace("ratelimit", "rate limit"):
        return _Fault.UNANSWERED
    if status is not None and 400 <= status < 500:
        return _STATUSES.get(status, _Fault.REFUSED)
    if status is not None and status >= 500:
        return _Fault.UNANSWERED
    if getattr(error, "errno", None) in _REFUSED_NUMBERS:
        return _Fault.REFUSED
    names = (f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(error).__mro__)
    return next((_FAULTS[name] for name in names if name in _FAULTS), _Fault.UNANSWERED)


def _status(error: Exception) -> int | None:
    """Return the HTTP status that the store answered; None if it did not answer."""
    if type(error) is OSError and str(error).startswith(_FORBIDDEN):  # gcsfs keeps the status in the text alone
        return 403
    return next(_statuses(error), None)


def _statuses(error: BaseException | None) -> Iterator[int]:
    """Yield the HTTP statuses of an error and its causes, wherever their classes keep it."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            yield from _numbers(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        name = "status" if hasattr(error, "status") else "code"  # aiohttp has both, and warns when `code` is read
        yield from _numbers(getattr(error, name, None))
        error = error.__cause__


def _numbers(value: object) -> Iterator[int]:
    if str(value).isdigit() and int(str(value)) >= 100:
        yield int(str(value))


def _reason(error: Exception) -> str:
    """Return the status and what the store said about it, or else the name of the error's class."""
    status = _status(error)
    if status is None:
        return type(error).__name__
    said = str(error).strip().splitlines()
    text = said[-1].removesuffix(f", {status}").removeprefix(_FORBIDDEN) if said else ""
    return f"{status} {text}".strip()[:_LONGEST_REASON]
