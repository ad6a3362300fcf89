"""A store that refuses, is busy or does not answer is told apart, whatever class a driver raises for it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from privatekube import errors, retries
from privatekube.storage import remote_errors, uris
from tests import waiting
from tests.storage import bad_stores
from tests.storage.bucket import SCHEMES, variables

MODULES = (
    *("google.cloud.storage.exceptions", "google.auth.exceptions", "google.api_core.exceptions"),
    *("google.resumable_media.common", "requests.exceptions", "urllib3.exceptions"),
    *("botocore.exceptions", "boto3.exceptions", "s3transfer.exceptions"),
)


def classes() -> Iterator[type[Exception]]:
    """All exceptions that Google's and Amazon's clients, and the libraries below them, define."""
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
    monkeypatch.setattr(uris, "BACK_OFF", retries.BackOff(first_seconds=0.001, longest_seconds=0.001))


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
        ("google.cloud.storage.exceptions.DataCorruption", errors.Temporary),
        ("google.api_core.exceptions.ServiceUnavailable", errors.Temporary),
        ("google.api_core.exceptions.TooManyRequests", errors.Temporary),
        ("google.api_core.exceptions.Forbidden", errors.InvalidInput),
        ("google.api_core.exceptions.Unauthorized", errors.InvalidInput),
        ("google.api_core.exceptions.PreconditionFailed", errors.AlreadyExists),
        ("botocore.exceptions.PartialCredentialsError", errors.InvalidInput),
        ("botocore.exceptions.SSOTokenLoadError", errors.InvalidInput),
        ("botocore.exceptions.SSLError", errors.InvalidInput),
        ("botocore.exceptions.ResponseStreamingError", errors.Temporary),
        ("requests.exceptions.SSLError", errors.InvalidInput),
        ("requests.exceptions.ChunkedEncodingError", errors.Temporary),
        ("urllib3.exceptions.ProtocolError", errors.Temporary),
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


class TransientError(Exception):
    """An error as google-auth raises it when the token server is busy."""

    retryable = True


def test_a_token_that_may_come_later_is_no_refusal() -> None:
    assert isinstance(remote_errors.translation(TransientError(), "gs://bucket/file"), errors.Temporary)


FORBIDDEN = "needs storage.objects.get access"
REFUSALS: list[tuple[bad_stores.Refusal, type[Exception], str]] = [
    (
        bad_stores.Refusal(401, "Invalid Credentials", "authError"),
        errors.InvalidInput,
        "401 .*Invalid|needs credentials",
    ),
    (
        bad_stores.Refusal(403, FORBIDDEN, "forbidden"),
        errors.InvalidInput,
        rf"refused by the store \(403 .*{FORBIDDEN}",
    ),
    (bad_stores.Refusal(404, "bucket does not exist", "notFound"), errors.NotFound, "bucket: .*bucket does not exist"),
    (bad_stores.Refusal(412, "did not hold", "conditionNotMet"), errors.AlreadyExists, "file exists"),
    (bad_stores.Refusal(400, "Bucket is a requester pays bucket", "required"), errors.InvalidInput, "QUOTA_PROJECT"),
    (bad_stores.Refusal(403, "billing account is disabled", "accountDisabled"), errors.InvalidInput, "enable billing"),
    (bad_stores.Refusal(403, "Rate Limit Exceeded", "rateLimitExceeded"), errors.Temporary, r"\(403 .*Rate Limit"),
    (bad_stores.Refusal(429, "slow down", "rateLimitExceeded"), errors.Temporary, r"reached \(429 .*slow down\)"),
    (bad_stores.Refusal(500, "internal", "InternalError"), errors.Temporary, r"reached \(500 .*internal\)"),
    (bad_stores.Refusal(503, "Backend Error", "backendError"), errors.Temporary, r"reached \(503 .*Backend Error\)"),
]


@pytest.fixture(scope="module", params=SCHEMES)
def bad_store(request: pytest.FixtureRequest) -> Iterator[tuple[str, bad_stores.BadStore]]:
    """Yield a bucket and the store that it is on, which refuses everything."""
    with bad_stores.serving(REFUSALS[0][0]) as store, pytest.MonkeyPatch.context() as patch:
        for name, value in variables(request.param, store.address).items():
            patch.setenv(name, value)
        yield f"{request.param}://bucket", store


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("refusal", "expected", "text"), REFUSALS, ids=lambda value: getattr(value, "message", ""))
def test_a_store_that_refuses_is_told_from_one_that_is_out_of_reach(
    bad_store: tuple[str, bad_stores.BadStore],
    capfd: pytest.CaptureFixture[str],
    refusal: bad_stores.Refusal,
    expected: type[Exception],
    text: str,
) -> None:
    bucket, store = bad_store
    store.refusal, store.requests = refusal, []
    with pytest.raises(expected, match=text) as raised:
        uris.write_bytes(f"{bucket}/file", b"data", overwrite=True)
    assert len(str(raised.value).splitlines()) == 1
    assert len(store.requests) == (uris.ATTEMPTS if issubclass(expected, errors.Temporary) else 1)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_credentials_one_line_says_so_within_seconds(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    elsewhere = {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in {**elsewhere, "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(name, value)
    began = time.monotonic()
    with pytest.raises(errors.InvalidInput, match=r"needs credentials, and there are none that work .*; (run|set) "):
        uris.read_bytes(f"{scheme}://bucket/file")
    assert time.monotonic() - began < waiting.PATIENCE_SECONDS
    assert "".join(capfd.readouterr()) == ""


def test_no_secret_of_the_environment_is_in_what_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = bad_stores.Refusal(403, "The request signature does not match", "SignatureDoesNotMatch")
    with bad_stores.serving(refusal) as store:
        for name, value in {**variables("s3", store.address), "AWS_SECRET_ACCESS_KEY": "s3cret-of-a-bucket"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(errors.InvalidInput) as raised:
            uris.write_bytes("s3://bucket/file", b"data", overwrite=True)
    trace: BaseException | None = raised.value
    while trace is not None:
        assert "s3cret" not in f"{trace!r}{trace}"
        trace = trace.__cause__
