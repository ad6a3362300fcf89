"""Steps that stop at a gate before they start, so that a test can cut a run off between two steps."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import waiting
from tests.e2e.conftest import ROOT, Laptop

PROGRAM = """
import os, runpy, sys, time
from pathlib import Path
from privatekube.steps import arguments

arguments.end_with_parent(os.environ.get(arguments.PARENT))
gate = Path(__file__).parent
(gate / "reached").touch()
while not (gate / "open").exists():
    time.sleep(0.05)
if (gate / "fail").exists():
    sys.exit("error: the gate fails")
runpy.run_module("components.{step}", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Gate:
    """A component that waits at its gate and then does what the project's own component does.

    Args:
        step: the step that it replaces.
        folder: its folder; its name is that of its module.
    """

    step: str
    folder: Path

    @classmethod
    def of(cls, laptop: Laptop, step: str) -> Gate:
        """Write the component."""
        folder = laptop.folder / f"gated_{step}"
        folder.mkdir()
        text = (ROOT / "components" / step / "component.yaml").read_text()
        (folder / "component.yaml").write_text(text.replace(f"components.{step}", folder.name))
        (folder / "__main__.py").write_text(PROGRAM.format(step=step))
        return cls(step, folder)

    @property
    def option(self) -> tuple[str, str]:
        """The option of run_pipeline.py that takes this component."""
        return "--component", f"{self.step}={self.folder}"

    def open(self, *, fail: bool = False) -> None:
        """Let the step start, or let it fail."""
        (self.folder / "fail").unlink(missing_ok=True)
        if fail:
            (self.folder / "fail").touch()
        (self.folder / "open").touch()

    def start_run(self, laptop: Laptop, *settings: str) -> subprocess.Popen[str]:
        """Start a run and return when it has reached the gate."""
        return self.start_command(laptop, "run_pipeline.py", *self.option, *laptop._options(settings))

    def start_command(self, laptop: Laptop, *command: str) -> subprocess.Popen[str]:
        """Start a command that runs the component, and return when it has reached the gate."""
        process = laptop.start(*command)
        waiting.until(lambda: (self.folder / "reached").exists() or process.poll() is not None, seconds=200)
        assert process.poll() is None, process.communicate()
        return process

    def cut_off(self, laptop: Laptop, number: signal.Signals, *settings: str) -> str:
        """Start a run, send it a signal at the gate, open the gate, and return what the run wrote."""
        return self.cut_off_command(laptop, number, "run_pipeline.py", *self.option, *laptop._options(settings))

    def cut_off_command(self, laptop: Laptop, number: signal.Signals, *command: str) -> str:
        """Start a command, send it a signal at the gate, open the gate, and return what the command wrote."""
        process = self.start_command(laptop, *command)
        os.kill(process.pid, number)
        written = process.communicate(timeout=200)[1]
        self.open()
        return written
