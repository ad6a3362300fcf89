"""A local file is written whole or not at all, and the system's errors become one line of this library."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.storage import local_files


def test_a_file_is_written_with_its_folders_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    local_files.write(path, b"first")
    local_files.write(path, b"second", overwrite=True)
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_file_is_kept_unless_it_is_to_be_overwritten(tmp_path: Path) -> None:
    local_files.write(tmp_path / "file", b"first")
    with pytest.raises(errors.AlreadyExists, match="file exists; choose another name"):
        local_files.write(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, errors.InvalidInput, "free some space"),
        (errno.EROFS, errors.InvalidInput, "change its permissions"),
        (errno.ETIMEDOUT, errors.Temporary, "cannot be reached now"),
        (errno.EIO, errors.InvalidInput, "choose another path"),
    ],
)
def test_a_failed_write_leaves_the_old_content_and_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[errors.PrivateKubeError],
    message: str,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=rf"^file: [^\n]*{message}[^\n]*$"):
        local_files.write(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_one_of_several_writers_wins_and_the_others_are_told(tmp_path: Path) -> None:
    outcomes: list[bytes | None] = []

    def write(data: bytes) -> None:
        try:
            local_files.write(tmp_path / "file", data)
            outcomes.append(data)
        except errors.AlreadyExists:
            outcomes.append(None)

    writers = [threading.Thread(target=write, args=(bytes([number]) * 1000,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    (winner,) = [data for data in outcomes if data is not None]
    assert (tmp_path / "file").read_bytes() == winner
    assert len(outcomes) == 8


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_hard_links_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    local_files.write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    with pytest.raises(errors.AlreadyExists):
        local_files.write(tmp_path / "file", b"other")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(errors.InvalidInput, match=r"out cannot be used, not a directory"):
        local_files.write(tmp_path / "out" / "file", b"data")
