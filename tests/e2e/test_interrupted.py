"""An interrupted run's claim is settled: budget of unopened data is released, budget of opened data is consumed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import examples, waiting
from tests.e2e.conftest import Laptop, committed

LONG = ("n_epochs=40", "sampling_rate=0.01")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read what the run writes until a line has `text`."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        if text in line:
            return
        lines.append(line)
    raise AssertionError(f"the run ended without {text!r}:\n{''.join(lines)}")


def steps_of(run: int, name: str) -> list[int]:
    """Return the processes of that step of a run: copies of the process that the run has started for its steps."""
    servers = children(run)
    steps = [step for server in servers for step in children(server)]
    return [step for step in steps if Path(f"/proc/{step}/comm").read_text().strip() == name]


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS[: examples.chosen(quick=1, nightly=3)])
def test_an_interruption_while_training_consumes_the_claim_leaves_no_data_and_running_again_works(
    laptop_with_blocks: Laptop, number: signal.Signals
) -> None:
    laptop = laptop_with_blocks
    process = laptop.start_pipeline(*LONG)
    wait_for(process, "dp_train: noisy step")
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    assert not (laptop.folder / "out" / "latest").exists()
    assert not list((laptop.folder / ".privatekube" / "runs").iterdir())
    laptop.pipeline()
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([2.0, 2.0])
    assert not list((laptop.folder / ".privatekube" / "runs").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_an_interruption_before_the_data_was_opened_returns_the_budget(laptop: Laptop, number: signal.Signals) -> None:
    laptop.run("privatekube", "policy", "--unlock", "n=100")
    laptop.run("demo_blocks.py", "create", "--days", "1", "--accounting", "epsdel")
    process = laptop.start_pipeline("timeout_seconds=100")
    wait_for(process, "allocate: claiming")
    waiting.until(lambda: len(laptop.claims()) == 1)
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    (block,) = laptop.blocks().values()
    assert committed(block) == 0
    assert not block["status"].get("acquiredBudgetMap")
    assert not block["status"].get("reservedBudgetMap")


@pytest.mark.slow
def test_a_failure_after_the_data_was_opened_consumes_the_claim(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    process = laptop.start_pipeline(*LONG)
    wait_for(process, "dp_train: noisy step")
    (step,) = steps_of(process.pid, "dp_train")
    os.kill(step, signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "error: dp_train: " in err
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "other data", "gone"])
def test_a_block_file_that_is_not_what_was_declared_is_found_before_the_data_is_opened_and_costs_nothing(
    laptop_with_blocks: Laptop, harm: str
) -> None:
    laptop = laptop_with_blocks
    first, second = sorted((laptop.folder / ".privatekube").rglob("*.h5"))
    if harm == "cut":
        first.write_bytes(first.read_bytes()[:-100])
    elif harm == "other data":
        first.write_bytes(second.read_bytes())
    else:
        first.unlink()
    line = laptop.pipeline(status=2).splitlines()[-1]
    assert line.startswith("error: download: ")
    for block in laptop.blocks().values():
        assert committed(block) == 0
        assert not block["status"].get("acquiredBudgetMap")
