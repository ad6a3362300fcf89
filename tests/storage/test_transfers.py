"""Many files are fetched at once, and a folder is published so that its last file says that it is complete."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.storage import transfers, uris
from tests.storage.test_uris import bucket, gs, prefix, s3

__all__ = ["bucket", "gs", "prefix", "s3"]


def written(folder: str, names: str) -> list[str]:
    for name in names:
        uris.write_bytes(uris.join(folder, name), name.encode())
    return [uris.join(folder, name) for name in names]


def test_files_come_in_the_order_given_and_only_their_owner_can_read_them(prefix: str, tmp_path: Path) -> None:
    files = [(uri, tmp_path / "here" / uri[-1]) for uri in written(prefix, "fedcba")]
    fetched = list(transfers.fetch_each(files))
    assert [path.read_text() for path in fetched] == list("fedcba")
    assert {path.stat().st_mode & 0o077 for path in fetched} == {0}


def test_no_more_files_are_fetched_at_the_same_time_than_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Barrier(transfers.AT_ONCE)
    fetching, most = set[int](), [0]

    def copy(_uri: str, _path: Path) -> None:
        fetching.add(threading.get_ident())
        most[0] = max(most[0], len(fetching))
        full.wait(10)  # broken, unless as many are fetched at once
        fetching.discard(threading.get_ident())

    monkeypatch.setattr(uris, "copy_to", copy)
    list(transfers.fetch_each([("a", tmp_path)] * (3 * transfers.AT_ONCE)))
    assert most == [transfers.AT_ONCE]


def test_the_first_file_that_fails_is_named_and_the_rest_is_left(prefix: str, tmp_path: Path) -> None:
    (first,) = written(prefix, "a")
    uris_ = [first, uris.join(prefix, "missing"), *[first] * 50]
    fetched = transfers.fetch_each([(uri, tmp_path / "here" / str(number)) for number, uri in enumerate(uris_)])
    assert next(fetched).read_text() == "a"
    with pytest.raises(errors.NotFound, match="missing does not exist"):
        next(fetched)
    assert len(list((tmp_path / "here").iterdir())) < len(uris_) - 1


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
