"""A store that refuses, is busy or does not answer is told apart, whatever class a driver raises for it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import types
from collections.abc import Iterator

import gcsfs.retry
import pytest

from privatekube import errors
from privatekube.storage import remote_errors, uris
from tests.storage import bad_stores

MODULES = (
    *("gcsfs.retry", "fsspec.exceptions", "aiohttp.client_exceptions", "google.auth.exceptions"),
    *("google.api_core.exceptions", "botocore.exceptions", "requests.exceptions"),
)


def classes() -> Iterator[type[Exception]]:
    """All exceptions that gcsfs, s3fs and the libraries below them define."""
    for module in map(importlib.import_module, MODULES):
        for kind in vars(module).values():
            if inspect.isclass(kind) and issubclass(kind, Exception) and not issubclass(kind, Warning):
                yield kind


def made(kind: type[Exception]) -> Exception:
    """Return an exception of this class, with a message if its class takes one."""
    arguments: tuple[tuple[object, ...], ...] = (("a message\nof two lines",), (None, ()))  # the last for aiohttp
    for positional in arguments:
        with contextlib.suppress(Exception):
            return kind(*positional)
    return kind.__new__(kind)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gcsfs retry without its pauses of up to half a minute."""
    sleep = asyncio.sleep

    async def no_pause(_seconds: float) -> None:
        await sleep(0)

    monkeypatch.setattr(gcsfs.retry, "asyncio", types.SimpleNamespace(sleep=no_pause))


@pytest.mark.parametrize("kind", sorted(set(classes()), key=str), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_class_of_a_driver_becomes_one_line_of_this_library(kind: type[Exception]) -> None:
    translated = remote_errors.translation(made(kind), "gs://bucket/file")
    assert isinstance(translated, errors.InvalidInput | errors.NotFound | errors.AlreadyExists | errors.Temporary)
    assert str(translated).startswith("file: gs://bucket/file ")
    assert "\n" not in str(translated)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("botocore.exceptions.NoCredentialsError", errors.InvalidInput),
        ("botocore.exceptions.EndpointConnectionError", errors.Temporary),
        ("botocore.exceptions.ReadTimeoutError", errors.Temporary),
        ("google.auth.exceptions.DefaultCredentialsError", errors.InvalidInput),
        ("google.auth.exceptions.RefreshError", errors.InvalidInput),
        ("google.auth.exceptions.TransportError", errors.Temporary),
        ("aiohttp.client_exceptions.ServerDisconnectedError", errors.Temporary),
        ("aiohttp.client_exceptions.ClientConnectorDNSError", errors.Temporary),
        ("aiohttp.client_exceptions.InvalidURL", errors.InvalidInput),
        ("fsspec.exceptions.FSTimeoutError", errors.Temporary),
        ("requests.exceptions.ProxyError", errors.Temporary),
        ("builtins.PermissionError", errors.InvalidInput),
        ("builtins.FileNotFoundError", errors.NotFound),
        ("builtins.KeyError", errors.Temporary),
    ],
)
def test_a_class_says_whether_to_retry(name: str, expected: type[Exception]) -> None:
    module, _, attribute = name.rpartition(".")
    kind = getattr(importlib.import_module(module), attribute)
    assert isinstance(remote_errors.translation(made(kind), "s3://bucket/file"), expected)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("AccessDenied", 403, errors.InvalidInput),
        ("InvalidRequest", 400, errors.InvalidInput),
        ("NoSuchBucket", 404, errors.NotFound),
        ("SlowDown", 503, errors.Temporary),
        ("InternalError", 500, errors.Temporary),
        ("SomethingNew", 418, errors.InvalidInput),
    ],
)
def test_an_answer_of_s3_says_whether_to_retry(code: str, status: int, expected: type[Exception]) -> None:
    import botocore.exceptions
    import s3fs.errors

    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    raised = s3fs.errors.translate_boto_error(botocore.exceptions.ClientError(answer, "PutObject"))
    assert isinstance(remote_errors.translation(raised, "s3://bucket/file"), expected)


REFUSALS = [
    (bad_stores.Refusal(401, "Invalid Credentials", "authError"), errors.InvalidInput, "refused by the store (401"),
    (bad_stores.Refusal(403, "no access", "forbidden"), errors.InvalidInput, "refused by the store (403 no access)"),
    (bad_stores.Refusal(403, "Rate Limit Exceeded", "rateLimitExceeded"), errors.Temporary, "reached (403 Rate Limit"),
    (bad_stores.Refusal(429, "slow down", "rateLimitExceeded"), errors.Temporary, "reached (429 slow down)"),
    (bad_stores.Refusal(503, "Backend Error", "backendError"), errors.Temporary, "reached (503 Backend Error)"),
]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("refusal", "expected", "text"), REFUSALS, ids=lambda value: getattr(value, "reason", None))
def test_a_store_that_refuses_is_not_said_to_be_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    refusal: bad_stores.Refusal,
    expected: type[Exception],
    text: str,
) -> None:
    monkeypatch.setattr(uris, "TIMEOUT_SECONDS", 0.1)
    with bad_stores.serving(refusal) as (address, requests):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        with pytest.raises(expected) as raised:
            uris.write_bytes("gs://bucket/file", b"data", overwrite=True)
    assert text in str(raised.value)
    assert len(requests) > 1 if refusal.status in {429, 503} else requests
    assert "Traceback" not in "".join(capfd.readouterr())
