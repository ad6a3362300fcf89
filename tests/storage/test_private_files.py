"""What is private is created so, and what an earlier version left open in the program's folder is closed."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.storage import private_files, uris


@pytest.fixture(autouse=True)
def _a_umask_that_lets_everybody_read() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_and_the_folders_made_for_it_are_its_owner_s_alone(tmp_path: Path) -> None:
    for write in (lambda path: private_files.write(path, b"x"), private_files.create):
        path = tmp_path / write.__qualname__ / "a" / "file"
        write(path)
        assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)


def test_a_private_file_is_closed_before_it_has_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        modes.extend(mode(path) for path in tmp_path.iterdir())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    private_files.write(tmp_path / "file", b"private")
    assert set(modes) == {0o600}
    assert modes


def test_a_file_that_was_open_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert mode(path) == 0o644
    uris.write_private(str(path), b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_a_fetched_file_is_private(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    uris.copy_to(str(tmp_path / "source"), tmp_path / "copy")
    assert mode(tmp_path / "copy") == 0o600


def test_a_folder_of_the_user_keeps_its_permissions(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(0o755)
    private_files.write(mine / "file", b"x")
    assert mode(mine) == 0o755


def test_the_program_s_folder_of_an_earlier_version_is_closed_with_everything_in_it(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / private_files.HOME, tmp_path / "elsewhere"
    (home / "blocks" / "ns").mkdir(parents=True)
    (home / "blocks" / "ns" / "a.h5").write_bytes(b"reviews")
    (home / "program").write_bytes(b"")
    (home / "program").chmod(0o755)
    elsewhere.write_bytes(b"not in it")
    (home / "link").symlink_to(elsewhere)
    private_files.make_folder(home / "runs")
    folders = (home, home / "blocks", home / "blocks" / "ns", home / "runs", home / "program")
    assert {mode(path) for path in folders} == {0o700}
    assert mode(home / "blocks" / "ns" / "a.h5") == 0o600
    assert mode(elsewhere) == 0o644


def test_the_program_s_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(0o755)
    (tmp_path / private_files.HOME).symlink_to(tmp_path / "disk")
    private_files.create(tmp_path / private_files.HOME / "state.db")
    assert mode(tmp_path / "disk") == 0o700


def test_closing_what_another_process_removes_is_no_error(tmp_path: Path) -> None:
    home = tmp_path / private_files.HOME
    for _ in range(5):
        home.mkdir(0o755)
        files = [home / str(number) for number in range(100)]
        for file in files:
            file.touch()
        remover = threading.Thread(target=lambda files: [file.unlink() for file in files], args=(files,))
        remover.start()
        private_files.close(home)
        remover.join()
        home.rmdir()
    private_files.close(home)


def test_a_folder_that_somebody_else_left_open_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / private_files.HOME
    home.mkdir(0o755)

    def refuse(path: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)  # the tests may run as root, who may change everything
    with pytest.raises(errors.InvalidInput, match=rf"^file: '{home}' can be read by others, [^\n]* chmod go= {home}$"):
        private_files.make_folder(home)


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.InvalidInput, match="not a directory"):
        private_files.create(tmp_path / "file" / "state.db")


def test_a_folder_gets_a_second_place_without_a_copy_in_place_of_what_was_there(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b" / "c"
    private_files.write(source / "x", b"data")
    private_files.write(target / "old", b"old")
    private_files.link_folder(source, target)
    assert [path.name for path in target.iterdir()] == ["x"]
    assert (target / "x").samefile(source / "x")
    assert target.stat().st_mode & 0o077 == 0
    assert [path.name for path in target.parent.iterdir()] == ["c"]


def test_where_a_file_system_has_no_links_a_folder_is_copied_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)
    private_files.write(tmp_path / "a" / "x", b"data")
    private_files.link_folder(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "x").read_bytes() == b"data"
    assert (tmp_path / "b" / "x").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_moved_or_linked_is_one_line(tmp_path: Path) -> None:
    for act in (private_files.replace_folder, private_files.link_folder):
        with pytest.raises(errors.PrivateKubeError, match=r"^file: "):
            act(tmp_path / "absent", tmp_path / "b")
