"""Bad input ends a run in one line with name, value, bound and what to do; nothing is charged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Laptop


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("epsilon=0", "epsilon: 0 must be greater than 0"),
        ("delta=2", "delta: 2 must be less than 1"),
        ("n_epochs=1.5", "n_epochs: 1.5 must be a valid integer"),
        ("colour=red", "colour: unknown argument"),
        ("sampling_rate=1.01", "sampling_rate: 1.01 must be less than or equal to 1"),
    ],
)
def test_arguments_are_checked_before_anything_starts(laptop: Laptop, setting: str, expected: str) -> None:
    written = laptop.pipeline(setting, status=2)
    assert len(written.splitlines()) == 1
    assert expected in written
    assert list(laptop.folder.iterdir()) == []


@pytest.mark.slow
def test_more_blocks_than_there_are_is_refused(laptop_with_blocks: Laptop) -> None:
    line = laptop_with_blocks.pipeline("n_blocks=5", status=2).splitlines()[-1]
    assert line.startswith("error: allocate:")
    assert "5" in line
    assert "2" in line
    assert laptop_with_blocks.claims() == {}


@pytest.mark.slow
def test_no_block_at_all_is_refused(laptop: Laptop) -> None:
    line = laptop.pipeline(status=2).splitlines()[-1]
    assert line.startswith("error: allocate:")
    assert laptop.claims() == {}


@pytest.mark.slow
def test_waiting_too_long_ends_with_a_reason_and_charges_nothing(laptop: Laptop) -> None:
    laptop.run("privatekube", "policy", "--unlock", "n=1000")
    laptop.run("demo_blocks.py", "create", "--days", "1")
    line = laptop.pipeline("timeout_seconds=2", status=2).splitlines()[-1]
    assert line.startswith("error: allocate:")
    (block,) = laptop.blocks().values()
    assert not block["status"].get("reservedBudgetMap")
    assert not block["status"].get("acquiredBudgetMap")


@pytest.mark.slow
def test_a_results_folder_that_cannot_be_written_is_found_before_any_claim(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    (laptop.folder / "file").write_text("in the way")
    written = laptop.pipeline("prefix=file/out", status=2)
    assert len(written.splitlines()) == 1
    assert "file/out" in written
    assert laptop.claims() == {}


@pytest.mark.slow
@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_found_before_any_claim(laptop_with_blocks: Laptop) -> None:
    line = laptop_with_blocks.pipeline("device=cuda", status=2)
    assert len(line.splitlines()) == 1
    assert "device" in line
    assert laptop_with_blocks.claims() == {}


@pytest.mark.slow
def test_a_model_that_needs_more_memory_than_there_is_is_refused_before_anything_starts(laptop: Laptop) -> None:
    written = laptop.pipeline("embeddings=none", "embedding_dim=2000000000", status=2)
    assert len(written.splitlines()) == 1
    assert "embedding_dim 2000000000, " in written
    assert "and there is " in written
    assert list(laptop.folder.iterdir()) == []


@pytest.mark.slow
def test_a_file_that_is_no_store_is_named(laptop: Laptop) -> None:
    (laptop.folder / ".privatekube").mkdir()
    (laptop.folder / ".privatekube" / "state.db").write_text("not a database, but long enough to look at" * 30)
    written = laptop.pipeline(status=2)
    assert "state.db" in written
    assert len(written.splitlines()) == 1


def test_a_mistyped_option_is_one_line(laptop: Laptop) -> None:
    written = laptop.run("run_pipeline.py", "--lokal", status=2)
    assert len(written.splitlines()) == 1
    assert "--lokal" in written
