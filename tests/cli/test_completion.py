"""The shell completes commands, options and values, by the script that the command prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import command_line


def completed(words: str, folder: Path) -> list[str]:
    """Return what is offered for the last word of a line in bash."""
    number = str(len(words.split(" ")) - 1)
    asked = {"_PRIVATEKUBE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": number}
    return command_line.privatekube(folder=folder, environment=asked).stdout.split()


def test_commands_options_and_values_are_completed(tmp_path: Path) -> None:
    assert completed("privatekube ba", tmp_path) == ["backup"]
    assert completed("privatekube get p", tmp_path) == ["pb", "pbc"]
    assert "--sort-by" in completed("privatekube get pb --so", tmp_path)
    assert completed("privatekube get pb -o w", tmp_path) == ["wide"]
    assert completed("privatekube quota ", tmp_path) == ["set", "list", "delete"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_asks_this_program(tmp_path: Path, shell: str) -> None:
    script = command_line.privatekube("completion", shell, folder=tmp_path, environment={}).stdout
    assert f"_PRIVATEKUBE_COMPLETE=complete_{shell}" in script
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_an_unknown_shell_is_one_line(tmp_path: Path) -> None:
    done = command_line.privatekube("completion", "tcsh", folder=tmp_path, environment={})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'bash', 'zsh', 'fish'" in done.stderr
