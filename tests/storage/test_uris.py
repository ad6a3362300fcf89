"""One contract for files by URI: on disk, in a bucket of Google Cloud Storage, and in one of S3, on real servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors, retries
from privatekube.storage import amazon_bucket, buckets, google_bucket, remote_errors, uris
from tests.storage import bad_stores
from tests.storage.bucket import SCHEMES, served


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with served() as uri:
        yield uri


@pytest.fixture(scope="module")
def gs(bucket: str) -> str:
    return bucket


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with served("s3") as uri:
        yield uri


@pytest.fixture(params=SCHEMES)
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a prefix in a bucket."""
    return uris.join(request.getfixturevalue(request.param), tmp_path.name)


@pytest.fixture(params=["disk", *SCHEMES])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a folder, or a prefix in a bucket."""
    if request.param == "disk":
        return str(tmp_path)
    return uris.join(request.getfixturevalue(request.param), tmp_path.name)


def test_what_is_written_is_read(prefix: str) -> None:
    uri = uris.join(prefix, "deep", "file.bin")
    uris.write_bytes(uri, b"\x00\x01")
    assert uris.read_bytes(uri) == b"\x00\x01"
    assert uris.exists(uri)


def test_a_name_may_have_any_character_that_is_not_a_slash(prefix: str) -> None:
    names = sorted(["a b%2Fc é+~.txt", "a#b?c&d=[x].txt", "*.csv"])
    for name in names:
        uris.write_bytes(uris.join(prefix, "odd", name), name.encode())
    listed = uris.list_files(uris.join(prefix, "odd"))
    assert [uri.rpartition("/odd/")[2] for uri in listed] == names
    assert [uris.read_bytes(uri).decode() for uri in listed] == names


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


def test_a_file_lists_itself_and_a_folder_that_is_not_there_is_named(prefix: str) -> None:
    uri = uris.join(prefix, "folder", "file")
    uris.write_bytes(uri, b"x")
    assert uris.list_files(uri) == [uri]
    assert uris.list_files(prefix) == []
    with pytest.raises(errors.NotFound, match=r"nowhere does not exist"):
        uris.list_files(uris.join(prefix, "nowhere"))


def test_a_folder_and_a_file_exist_and_the_start_of_a_name_does_not(prefix: str) -> None:
    uris.write_bytes(uris.join(prefix, "folder", "file"), b"x")
    names = ("folder", "folder/file", "fold", "folder/fi")
    assert [uris.exists(uris.join(prefix, name)) for name in names] == [True, True, False, False]


def test_a_copy_is_a_local_file_that_its_owner_alone_can_read(prefix: str, tmp_path: Path) -> None:
    uris.write_bytes(uris.join(prefix, "file"), b"data")
    path = tmp_path / "copied" / "here"
    for content in (b"data", b"other data"):
        uris.write_bytes(uris.join(prefix, "file"), content, overwrite=True)
        uris.copy_to(uris.join(prefix, "file"), path)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(errors.NotFound):
        uris.copy_to(uris.join(prefix, "nothing"), path)
    assert [file.name for file in path.parent.iterdir()] == ["here"]


def test_a_full_disk_is_named_and_not_taken_for_the_store(remote: str) -> None:
    uris.write_bytes(uris.join(remote, "file"), b"data" * 100_000)
    with pytest.raises(errors.InvalidInput, match=r"/dev/full cannot be written, no space left"):
        buckets.fetch(buckets.parse(uris.join(remote, "file")), Path("/dev/full"))


def test_a_file_of_several_parts_is_never_written_over(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amazon_bucket, "_ONE_REQUEST_BYTES", 1)
    monkeypatch.setattr(google_bucket, "PART_BYTES", 1 << 18)
    path, uri = tmp_path / "model.pt", uris.join(remote, "model.pt")
    path.write_bytes(b"first" * 100_000)
    uris.publish(path, uri)
    uris.publish(path, uri)
    path.write_bytes(b"other" * 100_000)
    with pytest.raises(errors.AlreadyExists, match="has another result"):
        uris.publish(path, uri)
    assert uris.read_bytes(uri) == b"first" * 100_000


def test_the_parts_of_an_upload_that_was_cut_off_are_not_sent_again(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amazon_bucket, "_ONE_REQUEST_BYTES", 1)
    monkeypatch.setattr(amazon_bucket, "PART_BYTES", 5 << 20)
    path, bucket = tmp_path / "model.pt", amazon_bucket.AmazonBucket("bucket")
    path.write_bytes(bytes(5 << 20) + b"the last part")
    client, is_cut_off = bucket._client, True
    sent: list[int] = []
    upload_part = client.upload_part

    def send(**options: Any) -> Any:
        if is_cut_off and sent:
            raise ConnectionError("cut off")
        sent.append(options["PartNumber"])
        return upload_part(**options)

    monkeypatch.setattr(client, "upload_part", send)
    with pytest.raises(ConnectionError):
        bucket.create("cut/model.pt", path)
    assert bucket.size_of("cut/model.pt") is None
    is_cut_off = False
    bucket.create("cut/model.pt", path)
    assert sent == [1, 2]
    assert bucket.read("cut/model.pt") == path.read_bytes()


def test_of_two_writers_s3_takes_one(s3: str) -> None:
    bucket = amazon_bucket.AmazonBucket("bucket")
    bucket.create("two/receipt.json", b"first")
    with pytest.raises(Exception, match="PreconditionFailed") as refusal:
        bucket.create("two/receipt.json", b"second")
    assert isinstance(remote_errors.translation(refusal.value, f"{s3}/two/receipt.json"), errors.AlreadyExists)
    assert bucket.read("two/receipt.json") == b"first"


def test_of_two_writers_google_is_told_to_take_one(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = bad_stores.Refusal(412, "At least one of the pre-conditions did not hold", "conditionNotMet")
    with bad_stores.serving(refusal) as store:  # the emulator ignores the condition
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.address)
        with pytest.raises(Exception, match="412") as refused:
            google_bucket.GoogleBucket("bucket").create("receipt.json", b"second")
    assert "ifGenerationMatch=0" in store.requests[0]
    assert isinstance(remote_errors.translation(refused.value, "gs://bucket/receipt.json"), errors.AlreadyExists)


def test_proving_a_prefix_writable_leaves_nothing(prefix: str) -> None:
    uris.require_writable(uris.join(prefix, "out"))
    assert uris.exists(uris.join(prefix, "out")) is uris.is_local(prefix)
    assert uris.is_local(prefix) is False or uris.list_files(uris.join(prefix, "out")) == []


def test_a_prefix_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.InvalidInput, match="file/out"):
        uris.require_writable(str(tmp_path / "file" / "out"))


def test_a_bucket_that_does_not_exist_is_refused(remote: str) -> None:
    uri = f"{remote.partition('://')[0]}://no-such-bucket/file"
    for action in (uris.read_bytes, uris.list_files, uris.require_writable):
        with pytest.raises(errors.NotFound, match=r"no-such-bucket\S* does not exist") as refusal:
            action(uri)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("scheme", "driver", "extra"), [("gs", "google.cloud.storage", "gcs"), ("s3", "boto3.session", "s3")]
)
def test_a_missing_driver_names_the_extra_that_installs_it(
    scheme: str, driver: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets._opened.cache_clear()
    for module in ("privatekube.storage.google_bucket", "privatekube.storage.amazon_bucket"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, driver, None)
    monkeypatch.delattr(sys.modules["google.cloud"], "storage")
    with pytest.raises(errors.MissingExtra, match=rf"pip install 'privatekube\[{extra}\]'"):
        uris.read_bytes(f"{scheme}://bucket/file")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_store_that_does_not_answer_is_asked_again_and_then_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uris, "BACK_OFF", retries.BackOff(first_seconds=0.001, longest_seconds=0.001))
    calls = []

    def fail(_name: str) -> buckets.Bucket:
        calls.append(scheme)
        raise ConnectionError("no route")

    monkeypatch.setitem(buckets._OPENED_BY, scheme, fail)
    with pytest.raises(errors.Temporary, match=rf"{scheme}://other/file cannot be reached \(ConnectionError\)"):
        uris.read_bytes(f"{scheme}://other/file")
    assert len(calls) == uris.ATTEMPTS


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.InvalidInput, match=r"ftp://.* unknown scheme; use a path, file://, gs://, s3://"):
        uris.read_bytes("ftp://host/file")


def test_no_name_at_all_is_not_taken_for_the_working_directory() -> None:
    with pytest.raises(errors.InvalidInput, match="path: '' is empty; name a file or a folder"):
        uris.list_files("")


BAD_URIS = ("gs://", "gs:///runs", "s3://", "gs:", "gs:/bucket/runs", "s3:bucket", "file:/tmp/runs")


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_remote_uri_without_a_bucket_or_slashes_is_not_taken_for_a_folder_here(uri: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rf"{uri}' (names no bucket|has no // after its scheme); write it as"):
        uris.absolute(uri)


def test_locations_become_uris(tmp_path: Path) -> None:
    assert uris.to_uri(str(tmp_path)) == f"file://{tmp_path}"
    assert uris.to_uri("gs://bucket/x/") == "gs://bucket/x"
    assert uris.absolute(f"file://{tmp_path}") == str(tmp_path)
