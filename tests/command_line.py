"""The command `privatekube` in the process of the tests, which has imported already what each call would import."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from privatekube.cli import app


def privatekube(*arguments: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in a folder, with further environment variables.

    What concerns a process of its own, such as signals and closed pipes, needs one: use `subprocess` there.
    """
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["privatekube", *arguments])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app.main()
    status = ended.value.code
    assert status is None or isinstance(status, int)
    return subprocess.CompletedProcess(["privatekube", *arguments], status or 0, out.getvalue(), err.getvalue())
