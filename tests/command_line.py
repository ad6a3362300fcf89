"""The commands in the process of the tests, which has imported already what each call would import."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from privatekube.cli import app


def privatekube(*arguments: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `privatekube` to its end in a folder, with further environment variables.

    What concerns a process of its own, such as signals and closed pipes, needs one: use `subprocess` there.
    """
    return _ended(app.main, ["privatekube", *arguments], folder, environment)


def script(
    path: Path, *arguments: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script of the project to its end in the same way."""
    call = partial(runpy.run_path, str(path), run_name="__main__")
    return _ended(call, [str(path), *arguments], folder, environment)


def _ended(
    call: Callable[[], object], command: list[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Call what a command calls, and return how it ended; variables that it sets are not left to other tests."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, environment), pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setattr(sys, "argv", command)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            call()
    status = ended.value.code
    assert status is None or isinstance(status, int)
    return subprocess.CompletedProcess(command, status or 0, out.getvalue(), err.getvalue())
