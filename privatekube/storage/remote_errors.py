"""Translate what the drivers of buckets raise: Google's and Amazon's clients, and the libraries that they call.

A store that refuses a request (401, 403, a wrong address, no credentials) is a permanent error: the same request fails
again. A store that is busy (429, 5xx) or does not answer is temporary. Drivers are recognized by the names of their
exception classes, because a driver is imported only when its store is used.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

from privatekube import errors

EXTRAS = {"gs": "gcs", "s3": "s3"}
"""The extra that installs the driver of a scheme."""
_SIGN_IN = {
    "gs": "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}


class _Fault(enum.Enum):
    """What an error says about the request."""

    MISSING = enum.auto()
    EXISTS = enum.auto()
    WITHOUT_CREDENTIALS = enum.auto()
    REFUSED = enum.auto()
    UNANSWERED = enum.auto()


_FAULTS = {
    "builtins.FileNotFoundError": _Fault.MISSING,
    "builtins.FileExistsError": _Fault.EXISTS,
    "builtins.PermissionError": _Fault.REFUSED,
    "builtins.ValueError": _Fault.REFUSED,
    "builtins.Exception": _Fault.UNANSWERED,
    "boto3.Boto3Error": _Fault.REFUSED,
    "boto3.RetriesExceededError": _Fault.UNANSWERED,
    "boto3.S3TransferFailedError": _Fault.UNANSWERED,
    "boto3.S3UploadFailedError": _Fault.UNANSWERED,
    "botocore.BotoCoreError": _Fault.REFUSED,
    "botocore.ChecksumError": _Fault.UNANSWERED,
    "botocore.ConnectionError": _Fault.UNANSWERED,
    "botocore.CredentialRetrievalError": _Fault.WITHOUT_CREDENTIALS,
    "botocore.FlexibleChecksumError": _Fault.UNANSWERED,
    "botocore.HTTPClientError": _Fault.UNANSWERED,
    "botocore.IncompleteReadError": _Fault.UNANSWERED,
    "botocore.NoCredentialsError": _Fault.WITHOUT_CREDENTIALS,
    "botocore.PartialCredentialsError": _Fault.WITHOUT_CREDENTIALS,
    "botocore.ProfileNotFound": _Fault.WITHOUT_CREDENTIALS,
    "botocore.SSLError": _Fault.REFUSED,
    "botocore.SSOError": _Fault.WITHOUT_CREDENTIALS,
    "botocore.TokenRetrievalError": _Fault.WITHOUT_CREDENTIALS,
    "google.DataCorruption": _Fault.UNANSWERED,
    "google.DefaultCredentialsError": _Fault.WITHOUT_CREDENTIALS,
    "google.GoogleAuthError": _Fault.REFUSED,
    "google.RefreshError": _Fault.WITHOUT_CREDENTIALS,
    "google.TimeoutError": _Fault.UNANSWERED,
    "google.TransportError": _Fault.UNANSWERED,
    "requests.RequestException": _Fault.UNANSWERED,
    "requests.InvalidSchema": _Fault.REFUSED,
    "requests.InvalidURL": _Fault.REFUSED,
    "requests.MissingSchema": _Fault.REFUSED,
    "requests.SSLError": _Fault.REFUSED,
    "s3transfer.RetriesExceededError": _Fault.UNANSWERED,
    "urllib3.HTTPError": _Fault.UNANSWERED,
}
"""What the first base class of an error that is listed here says, by its package and name."""

_STATUSES = {
    404: _Fault.MISSING,
    408: _Fault.UNANSWERED,
    409: _Fault.UNANSWERED,  # of two writers at once: S3 has the later one try again
    412: _Fault.EXISTS,
    429: _Fault.UNANSWERED,
}
_RATE_LIMIT = re.compile(r"rate.?limit", re.IGNORECASE)
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist", re.IGNORECASE)
_PAYER = re.compile(r"requester pays|UserProjectMissing", re.IGNORECASE)
_BILLING = re.compile(r"billing|accountDisabled", re.IGNORECASE)
_MESSAGE = re.compile(r'"message":\s*"([^"]+)"')
_LONGEST_REASON = 160


def translation(error: Exception, place: str) -> errors.PrivateKubeError:
    """Return the error of this library that states in one line what a driver reported about `place`."""
    if isinstance(error, ImportError):
        missing = errors.missing_extra(error, extra=EXTRAS[place.partition("://")[0]])
        return missing or errors.invalid("file", place, f"needs a driver ({error})", "install it")
    cause = getattr(error, "cause", None)
    if type(error).__name__ == "RetryError" and isinstance(cause, Exception):
        return translation(cause, place)  # Google's client has tried a part of an upload long enough
    fault = _fault(error)
    if fault is _Fault.MISSING:
        return _missing(error, place)
    if fault is _Fault.EXISTS:
        return exists(place)
    if fault is _Fault.UNANSWERED:
        bound = f"cannot be reached ({_reason(error)})"
        return errors.Temporary(f"file: {place} {bound}; check the network, or try again later")
    return _refused(error, place, is_signed_in=fault is not _Fault.WITHOUT_CREDENTIALS)


def exists(place: str) -> errors.AlreadyExists:
    """Return the error for a file that is there already."""
    return errors.AlreadyExists(f"file: {place} exists; choose another name")


def _missing(error: Exception, place: str) -> errors.NotFound:
    if _NO_BUCKET.search(str(error)):
        bucket = "/".join(place.split("/")[:3])
        return errors.NotFound(f"bucket: {bucket} does not exist; check the name, or create it")
    return errors.NotFound(f"file: {place} does not exist; check the name")


def _refused(error: Exception, place: str, *, is_signed_in: bool) -> errors.InvalidInput:
    if is_signed_in:
        return errors.InvalidInput(f"file: {place} is refused by the store ({_reason(error)}); {_remedy(error)}")
    bound = f"needs credentials, and there are none that work ({_reason(error)})"
    return errors.InvalidInput(f"file: {place} {bound}; {_SIGN_IN[place.partition('://')[0]]}; see docs/storage.md")


def _remedy(error: Exception) -> str:
    if _PAYER.search(str(error)):
        return "set GOOGLE_CLOUD_QUOTA_PROJECT to the project that pays"
    if _BILLING.search(str(error)):
        return "have the owner of the bucket enable billing"
    return "check address, credentials and permissions"


def _fault(error: Exception) -> _Fault:
    status = _status(error)
    if getattr(error, "retryable", False) is True:  # Google's word for a token that may come later
        return _Fault.UNANSWERED
    if status == 403 and _RATE_LIMIT.search(str(error)):
        return _Fault.UNANSWERED
    if status is not None and 400 <= status < 500:
        return _STATUSES.get(status, _Fault.REFUSED)
    if status is not None and status >= 500:
        return _Fault.UNANSWERED
    names = (f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(error).__mro__)
    return next((_FAULTS[name] for name in names if name in _FAULTS), _Fault.UNANSWERED)


def _status(error: Exception) -> int | None:
    """Return the HTTP status that the store answered; None if it did not answer."""
    return next(_statuses(error), None)


def _statuses(error: BaseException | None) -> Iterator[int]:
    """Yield the HTTP statuses of an error and its causes, wherever their classes keep it."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            yield from _numbers(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        yield from _numbers(getattr(error, "code", None))
        yield from _numbers(getattr(response, "status_code", None))
        error = error.__cause__


def _numbers(value: object) -> Iterator[int]:
    if str(value).isdigit() and int(str(value)) >= 100:
        yield int(str(value))


def _reason(error: Exception) -> str:
    """Return the status and what the store said about it, or else the name of the error's class."""
    status = _status(error)
    if status is None:
        return type(error).__name__
    return f"{status} {_said(error)}".strip()[:_LONGEST_REASON]


def _said(error: Exception) -> str:
    """Return the store's own words: without the request, which Google's client puts before them."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        parts = response.get("Error", {})
        return " ".join(str(parts[name]) for name in ("Code", "Message") if parts.get(name))
    message = _MESSAGE.search(str(error))
    if message:
        return message[1]
    said = str(error).strip().splitlines()
    return said[-1].rpartition(": ")[2] if said else ""
