"""Locks of files: one holder at a time, and free once it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube import errors
from privatekube.storage import file_locks


def test_a_file_is_locked_by_one_at_a_time_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_locks.locked(path) as first, file_locks.locked(path) as second:
        assert (first, second) == (True, False)
    with file_locks.locked(path) as again:
        assert again
    assert path.stat().st_mode & 0o077 == 0


def test_a_lock_in_a_folder_that_does_not_exist_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="does not exist"), file_locks.locked(tmp_path / "gone" / "lock"):
        pass
