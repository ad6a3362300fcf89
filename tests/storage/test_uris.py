"""Files are read and written by URI alike on disk and on a real object-store server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from privatekube import errors, retries
from privatekube.storage import uris
from tests.storage.bucket import served


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with served() as uri:
        yield uri


@pytest.fixture(params=["disk", "bucket"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path)
    return uris.join(request.getfixturevalue("bucket"), tmp_path.name)


def test_what_is_written_is_read(prefix: str) -> None:
    uri = uris.join(prefix, "deep", "file.bin")
    uris.write_bytes(uri, b"\x00\x01")
    assert uris.read_bytes(uri) == b"\x00\x01"
    assert uris.exists(uri)


def test_a_local_copy_has_the_content_and_does_not_stay(prefix: str) -> None:
    uri = uris.join(prefix, "table.csv")
    uris.write_bytes(uri, b"a,b\n")
    with uris.local_copy(uri) as path:
        assert path.read_bytes() == b"a,b\n"
        assert uris.is_local(uri) or path.parent.stat().st_mode & 0o077 == 0
    assert path.exists() is uris.is_local(uri)
    with (
        pytest.raises(errors.NotFound, match=r"nowhere.csv does not exist"),
        uris.local_copy(uris.join(prefix, "nowhere.csv")),
    ):
        pass


def test_a_file_is_not_written_over(prefix: str) -> None:
    uri = uris.join(prefix, "file")
    uris.write_bytes(uri, b"first")
    with pytest.raises(errors.AlreadyExists, match="exists"):
        uris.write_bytes(uri, b"second")
    assert uris.read_bytes(uri) == b"first"
    uris.write_bytes(uri, b"second", overwrite=True)
    assert uris.read_bytes(uri) == b"second"


def test_publishing_again_is_a_repetition_and_other_content_is_refused(prefix: str, tmp_path: Path) -> None:
    uri, path = uris.join(prefix, "results", "metrics.json"), tmp_path / "metrics.json"
    path.write_text("1")
    uris.publish(path, uri)
    uris.publish(path, uri)
    path.write_text("2")
    with pytest.raises(errors.AlreadyExists, match="has another result"):
        uris.publish(path, uri)
    assert uris.read_bytes(uri) == b"1"


def test_a_missing_file_is_named(prefix: str) -> None:
    with pytest.raises(errors.NotFound, match=r"nothing\.h5 does not exist"):
        uris.read_bytes(uris.join(prefix, "nothing.h5"))
    assert not uris.exists(uris.join(prefix, "nothing.h5"))


def test_files_of_a_folder_are_listed_by_name(prefix: str) -> None:
    for name in ("b.h5", "a.h5"):
        uris.write_bytes(uris.join(prefix, "folder", name), b"x")
    assert [uri.rsplit("/", 1)[-1] for uri in uris.list_files(uris.join(prefix, "folder"))] == ["a.h5", "b.h5"]
    assert all(uris.read_bytes(uri) == b"x" for uri in uris.list_files(uris.join(prefix, "folder")))


def test_a_copy_is_a_local_file(prefix: str, tmp_path: Path) -> None:
    uris.write_bytes(uris.join(prefix, "file"), b"data")
    uris.copy_to(uris.join(prefix, "file"), tmp_path / "copied" / "here")
    assert (tmp_path / "copied" / "here").read_bytes() == b"data"


def test_proving_a_prefix_writable_leaves_nothing(prefix: str) -> None:
    uris.require_writable(uris.join(prefix, "out"))
    if not prefix.startswith("gs://"):
        assert list((Path(prefix) / "out").iterdir()) == []


def test_a_prefix_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.InvalidInput, match="file/out"):
        uris.require_writable(str(tmp_path / "file" / "out"))


def test_a_bucket_that_does_not_exist_is_refused(bucket: str) -> None:
    with pytest.raises((errors.NotFound, errors.Temporary, errors.InvalidInput)) as refusal:
        uris.read_bytes("gs://no-such-bucket/file")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("scheme", "driver", "extra"), [("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3")])
def test_a_missing_driver_names_the_extra_that_installs_it(
    scheme: str, driver: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = sys.modules["fsspec.registry"]._registry
    monkeypatch.delitem(loaded, scheme, raising=False)
    for module in [name for name in sys.modules if name.partition(".")[0] == driver]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(errors.MissingExtra, match=rf"{driver}: .*pip install 'privatekube\[{extra}\]'"):
        uris.read_bytes(f"{scheme}://bucket/file")


def test_a_store_that_does_not_answer_is_asked_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uris, "BACK_OFF", retries.BackOff(first_seconds=0.001, longest_seconds=0.001))
    calls = []

    def fail(*arguments: object, **options: object) -> None:
        calls.append(arguments)
        raise ConnectionError("no route")

    monkeypatch.setattr(fsspec, "filesystem", fail)
    with pytest.raises(errors.Temporary, match=r"gs://bucket/file cannot be reached \(ConnectionError\)"):
        uris.read_bytes("gs://bucket/file")
    assert len(calls) == uris.ATTEMPTS


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.InvalidInput, match=r"ftp://.* unknown scheme; use a path, file://, gs://, s3://"):
        uris.read_bytes("ftp://host/file")


BAD_URIS = ("gs://", "gs:///runs", "s3://", "gs:", "gs:/bucket/runs", "s3:bucket", "file:/tmp/runs")


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_remote_uri_without_a_bucket_or_slashes_is_not_taken_for_a_folder_here(uri: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rf"{uri}' (names no bucket|has no // after its scheme); write it as"):
        uris.absolute(uri)


def test_locations_become_uris(tmp_path: Path) -> None:
    assert uris.to_uri(str(tmp_path)) == f"file://{tmp_path}"
    assert uris.to_uri("gs://bucket/x/") == "gs://bucket/x"
    assert uris.absolute(f"file://{tmp_path}") == str(tmp_path)
