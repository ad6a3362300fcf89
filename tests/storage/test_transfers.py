"""Many files are fetched at once, and a folder is published so that its last file says that it is complete."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.storage import transfers, uris
from tests import waiting
from tests.storage.test_uris import bucket, gs, prefix, s3

__all__ = ["bucket", "gs", "prefix", "s3"]


def written(folder: str, names: str) -> list[str]:
    for name in names:
        uris.write_bytes(uris.join(folder, name), name.encode())
    return [uris.join(folder, name) for name in names]


def test_files_come_in_the_order_given(prefix: str) -> None:
    files = written(prefix, "fedcba")
    assert list(transfers.each_in_order(uris.read_bytes, files)) == [name.encode() for name in "fedcba"]


def test_as_many_files_are_fetched_at_the_same_time_as_fit_into_memory() -> None:
    full = threading.Barrier(transfers.AT_ONCE)
    fetching, most = set[int](), [0]

    def fetch(_number: int) -> None:
        fetching.add(threading.get_ident())
        most[0] = max(most[0], len(fetching))
        full.wait(waiting.PATIENCE_SECONDS)  # broken, unless as many are fetched at once
        fetching.discard(threading.get_ident())

    list(transfers.each_in_order(fetch, range(3 * transfers.AT_ONCE)))
    assert most == [transfers.AT_ONCE]


def test_no_files_are_fetched_that_a_slow_reader_has_no_room_for() -> None:
    begun: list[int] = []

    def fetch(number: int) -> int:
        begun.append(number)
        return number

    for number, fetched in enumerate(itertools.islice(transfers.each_in_order(fetch, range(100)), 10)):
        assert fetched == number
        assert len(begun) <= number + 1 + transfers.AT_ONCE


def test_the_first_file_that_fails_is_named_and_the_rest_is_left(prefix: str) -> None:
    (first,) = written(prefix, "a")
    begun: list[str] = []

    def fetch(uri: str) -> bytes:
        begun.append(uri)
        return uris.read_bytes(uri)

    fetched = transfers.each_in_order(fetch, [first, uris.join(prefix, "missing"), *[first] * 50])
    assert next(fetched) == b"a"
    with pytest.raises(errors.NotFound, match="missing does not exist"):
        next(fetched)
    assert len(begun) <= 2 + transfers.AT_ONCE


def test_a_folder_that_could_not_be_published_whole_has_no_last_file(prefix: str, tmp_path: Path) -> None:
    files = {name: tmp_path / f"local-{name}" for name in ("receipt.json", "model.pt", "metrics.json")}
    for name, path in files.items():
        path.write_text(name)
    folder = uris.join(prefix, "run")
    files["metrics.json"].unlink()
    with pytest.raises(errors.NotFound, match=r"local-metrics\.json"):
        transfers.publish_folder(files, folder, last="receipt.json")
    assert not uris.exists(uris.join(folder, "receipt.json"))
    files["metrics.json"].write_text("metrics.json")
    transfers.publish_folder(files, folder, last="receipt.json")
    transfers.publish_folder(files, folder, last="receipt.json")
    assert uris.read_bytes(uris.join(folder, "receipt.json")) == b"receipt.json"
    files["model.pt"].write_text("of another run")
    with pytest.raises(errors.AlreadyExists, match=r"model\.pt has another result"):
        transfers.publish_folder(files, folder, last="receipt.json")
