"""A laptop without any data: a folder, a store, and the commands that a user types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import command_line

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("model=bow", "n_epochs=1", "sampling_rate=0.2", "timeout_seconds=5")


def latest(*settings: str) -> list[str]:
    """Return the settings, each `key=value`, without those that a later one of the same key replaces."""
    return list({setting.partition("=")[0]: setting for setting in settings}.values())


@dataclass(frozen=True)
class Laptop:
    """Runs commands in `folder`; the store and the data are below it."""

    folder: Path

    @property
    def root(self) -> Path:
        """Where the scripts are."""
        return ROOT

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the commands: one thread, no store from outside, and the same in each test."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRIVATEKUBE_", "PYTEST_"))}
        return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command: a script of the project, or `privatekube`."""
        program = ["-m", "privatekube.cli"] if command[0] == "privatekube" else [str(self.root / command[0])]
        return subprocess.Popen(
            [sys.executable, *program, *command[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, status: int = 0) -> str:
        """Run a command to its end, check its exit status, and return what it wrote: stdout, then stderr."""
        done = self._ended(*command)
        assert done.returncode == status, f"{command}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def _ended(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end: in this process, which has imported it, unless its modules or store are others.

        The examples import modules beside them, of the same names in each.
        """
        has_others = self.environment["PYTHONPATH"] != str(ROOT) or command[0].startswith("examples/")
        if has_others or "PRIVATEKUBE_STORE" in self.environment:
            process = self.start(*command)
            out, err = process.communicate(timeout=250)
            return subprocess.CompletedProcess(command, process.returncode, out, err)
        program, *arguments = command
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - self.environment.keys():
                patch.delenv(name)
            if program == "privatekube":
                return command_line.privatekube(*arguments, folder=self.folder, environment=self.environment)
            return command_line.script(
                self.root / program, *arguments, folder=self.folder, environment=self.environment
            )

    def start_pipeline(self, *settings: str) -> subprocess.Popen[str]:
        """Start a run with quick arguments, overridden by `settings` as key=value."""
        return self.start("run_pipeline.py", *self._options(settings))

    def pipeline(self, *settings: str, status: int = 0) -> str:
        """Run the pipeline with quick arguments to its end and return what it wrote."""
        return self.run("run_pipeline.py", *self._options(settings), status=status)

    def json(self, *command: str) -> Any:
        """Return what `privatekube ... -o json` prints."""
        done = self._ended("privatekube", *command, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def blocks(self) -> dict[str, Any]:
        """Return the blocks by id, in wire form."""
        return {_id(item): item for item in self.json("get", "blocks")["items"]}

    def claims(self) -> dict[str, Any]:
        """Return the claims by id, in wire form."""
        return {_id(item): item for item in self.json("get", "claims")["items"]}

    @staticmethod
    def _options(settings: tuple[str, ...]) -> list[str]:
        options = [option for setting in latest(*QUICK, *settings) for option in ("--set", setting)]
        return ["--local", "--arguments", str(ROOT / "arguments.yaml"), *options]


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    """Return a laptop without any data."""
    return Laptop(tmp_path)


@pytest.fixture
def laptop_with_blocks(laptop: Laptop) -> Laptop:
    """Return a laptop with two blocks of a day of synthetic reviews, (10, 1e-7) each, in epsilon-delta accounting."""
    laptop.run("demo_blocks.py", "create", "--days", "2", "--accounting", "epsdel")
    return laptop


def committed(block: dict[str, Any], component: str = "epsilon") -> float:
    """Return the sum of what was committed on a block."""
    budgets = block["status"].get("committedBudgetMap", {}).values()
    return float(sum(budget["epsDel"].get(component, 0.0) for budget in budgets))


def _id(document: dict[str, Any]) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"
