"""Calls of an API server: its errors are translated here, and a call is repeated while the server is busy."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from privatekube import errors, retries

INSTALL = "run kubectl apply -k manifests/base"
"""What to do where a kind of this project is not installed."""
_STARTUP_SECONDS = 30.0
_BACK_OFF = retries.BackOff(first_seconds=1.0, longest_seconds=1.0)
_REFUSALS = frozenset({400, 403, 413, 415, 422})
_REFUSED_USER = ' is forbidden: User "'
"""Part of RBAC's message; an admission webhook may refuse an object with the same status and reason."""
_NOT_READY = re.compile(r"denied request: failed to configure (policy|binding): |: not yet ready to handle request$")
"""Part of the message while the server does not know yet a policy, or a kind or objects that one reads: for up to half
a minute after it has started, or after the kind was installed."""
TIMEOUT_SECONDS = (5, 60)
"""Time-outs to connect, and to read the answer."""
_NO_NAMESPACE = re.compile(r'namespaces "([^"]*)" not found')
"""The API server's message about an object of a namespace that does not exist."""
T = TypeVar("T")


class _StartingError(errors.StoreBusy):
    """A server that is not ready yet has refused the user or the kind."""

    def __init__(self, refusal: errors.NotServed) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def call_patiently(
    request: Callable[[], T], what: str, api: client.ApiClient, *, timeout_seconds: float, install: str = INSTALL
) -> T:
    """Make a request and return its answer; while the server is busy or cannot be reached, repeat it.

    A server that has just started refuses every user until it has read its roles and kinds. So NotServed is final only
    if the server said before the request that it is ready.

    Args:
        request: makes the request with the Kubernetes client.
        what: the object, for messages.
        api: the connection.
        timeout_seconds: how long to repeat.
        install: what to do where the kind is not installed, for messages.
    """
    starting_until = time.monotonic() + min(timeout_seconds, _STARTUP_SECONDS)

    def call() -> T:
        with translated(what, install=install):
            return request()

    def call_unless_starting() -> T:
        try:
            return call()
        except errors.NotServed as error:
            if time.monotonic() >= starting_until:
                raise
            if not is_ready(api):
                raise _StartingError(error) from error
            return call()

    try:
        return retries.call(
            call_unless_starting, timeout_seconds=timeout_seconds, back_off=_BACK_OFF, on=errors.StoreBusy
        )
    except _StartingError as error:
        raise error.refusal from None


def is_ready(api: client.ApiClient) -> bool:
    """Whether the API server reports that it is ready."""
    try:
        _, status, _ = api.call_api("/readyz", "GET", auth_settings=["BearerToken"], _request_timeout=TIMEOUT_SECONDS)
    except (ApiException, urllib3.exceptions.HTTPError):
        return False
    return bool(status == 200)


@contextlib.contextmanager
def translated(what: str, *, install: str = INSTALL) -> Iterator[None]:
    """Translate the errors of the Kubernetes client to those of this project."""
    try:
        yield
    except ApiException as error:
        raise _translation(what, error, install) from error
    except urllib3.exceptions.HTTPError as error:
        raise errors.StoreBusy(f"kubernetes: the API server cannot be reached ({error}); try again") from error


def _translation(what: str, error: ApiException, install: str) -> errors.PrivateKubeError:
    reason, message = _reason_and_message(error)
    match error.status, reason:
        case 404, "NotFound" if match := _NO_NAMESPACE.fullmatch(message):
            name = match.group(1)
            return errors.NotFound(
                f"namespace {name}: does not exist; create it (kubectl create namespace {name}), or correct namespace"
            )
        case 404, "NotFound":
            return errors.NotFound(f"{what}: is gone ({message})")
        case 404, _:  # the kind is missing; this says nothing about the object
            return errors.NotInstalled(f"{what}: its kind is not installed; {install}")
        case _, "AlreadyExists":
            return errors.AlreadyExists(f"{what}: exists already; choose another name, or delete it first")
        case ((409 | 410), _):
            return errors.Conflict(f"{what}: was changed meanwhile ({message})")
    return _refusal(what, error.status, message)


def _refusal(what: str, status: int, message: str) -> errors.PrivateKubeError:
    refused = f"{what}: refused by the API server: {message}"
    if status == 401:
        return errors.Unauthenticated(refused)
    if status == 403 and _REFUSED_USER in message:
        return errors.Forbidden(refused)
    if (status in _REFUSALS and not _NOT_READY.search(message)) or "too large" in message:
        return errors.InvalidInput(refused)
    return errors.StoreBusy(f"{what}: the API server answered {status} ({message}); try again")


def _reason_and_message(error: ApiException) -> tuple[str, str]:
    """Return the reason and the message of an API server's answer, as far as it has them."""
    try:
        document = json.loads(error.body or "")
        return str(document.get("reason", "")), str(document.get("message", "")).replace("\n", " ")
    except (ValueError, AttributeError):
        return "", str(error.reason)
