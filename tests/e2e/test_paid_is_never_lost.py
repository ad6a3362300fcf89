"""A run that is cut off goes on with its claim and its outputs: what was paid for is published, and paid for once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import stat
from pathlib import Path

import pytest

from privatekube.steps import sealing
from privatekube.storage import uris
from tests.e2e.conftest import Laptop, committed
from tests.e2e.gates import Gate
from tests.storage import bad_stores
from tests.storage.test_uris import bucket

__all__ = ["bucket"]

PRIVATE = {"blocks", "dataset"}
NOISY = {
    "statistics": "statistics.json",
    "checkpoint": "model.pt",
    "metrics": "metrics.json",
    "receipt": "receipt.json",
}


def run_folder(laptop: Laptop) -> Path:
    (folder,) = (laptop.folder / ".privatekube" / "runs").iterdir()
    return folder


def artifacts(laptop: Laptop) -> dict[str, str]:
    """Return the digest of each release of the kept run that exists, by the name under which it is published.

    All but the receipt are sealed, and state their digest.
    """
    paths = [path for path in run_folder(laptop).rglob("*") if path.is_file() and path.name in NOISY]
    assert all(sealing.is_sealed(path) is (path.name != "receipt") for path in paths)
    return {NOISY[path.name]: sealing.released_digest(path).partition(":")[2] for path in paths}


def private_data(laptop: Laptop) -> set[str]:
    return {path.name for path in run_folder(laptop).rglob("*")} & PRIVATE


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def require_published(laptop: Laptop, before: dict[str, str]) -> None:
    """Check that the only run is published with these files, that it paid once, and that nothing else is left."""
    (claim,) = laptop.claims()
    folder = laptop.folder / "out" / "latest"
    assert {name: digest((folder / name).read_bytes()) for name in before} == before
    assert json.loads((folder / "receipt.json").read_text())["claim"] == claim
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    assert not list((laptop.folder / ".privatekube" / "runs").iterdir())
    run_id = claim.removeprefix("privacy-example/run-")
    assert "is published already in" in laptop.run("privatekube", "publish", run_id)


def require_shown(shown: str, block: str, *, before: str, after: str) -> None:
    """Check that the table of a run has what was left of a block before the run, and what is left after it."""
    (row,) = [line for line in shown.splitlines() if line.strip().startswith(block)]
    left_before, _committed, left_after = re.findall(r"epsilon [\d.]+,", row)
    assert (left_before, left_after) == (before, after)


@pytest.mark.slow
def test_a_run_that_is_killed_between_any_two_steps_goes_on_and_pays_once(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    gates = {step: Gate.of(laptop, step) for step in ("dp_preprocess", "dp_train", "consume", "upload")}
    expected = {
        "dp_preprocess": ({"blocks"}, 0),
        "dp_train": ({"dataset"}, 1),
        "consume": (set(), 3),
        "upload": (set(), 4),
    }
    before: dict[str, str] = {}
    options = [word for gate in gates.values() for word in gate.option]
    command = ["run_pipeline.py", *options, *laptop._options(())]
    for step, gate in gates.items():
        gate.cut_off_command(laptop, signal.SIGKILL, *command)
        kept = artifacts(laptop)
        assert (private_data(laptop), len(kept)) == expected[step]
        assert kept.items() >= before.items()
        before, run_id = kept, run_folder(laptop).name
        assert run_id in laptop.run("privatekube", "runs")
        command = ["privatekube", "publish", run_id]
    shown = laptop.run(*command)
    for block in laptop.blocks():
        require_shown(shown, block.rpartition("/")[2], before="epsilon 10,", after="epsilon 9,")
    require_published(laptop, before)


@pytest.mark.slow
def test_an_interrupted_run_that_has_computed_all_is_kept_and_published(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    gates = {signal.SIGTERM: Gate.of(laptop, "consume"), signal.SIGINT: Gate.of(laptop, "upload")}
    before: dict[str, str] = {}
    options = [word for gate in gates.values() for word in gate.option]
    command = ["run_pipeline.py", *options, *laptop._options(())]
    for number, gate in gates.items():
        written = gate.cut_off_command(laptop, number, *command)
        kept, folder = artifacts(laptop), run_folder(laptop)
        assert f"are kept in {folder} until they are published: privatekube publish {folder.name}" in written
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert private_data(laptop) == set()
        assert kept.items() >= before.items()
        before, command = kept, ["run_pipeline.py", "--resume", folder.name]
    laptop.run(*command)
    require_published(laptop, before)


@pytest.mark.slow
def test_a_run_whose_upload_fails_is_published_elsewhere_after_another_run_that_nobody_watches(
    laptop_with_blocks: Laptop,
) -> None:
    laptop = laptop_with_blocks
    gate = Gate.of(laptop, "upload")
    process = gate.start_run(laptop)
    shutil.rmtree(laptop.folder / "out")
    (laptop.folder / "out").write_text("in the way: no folder can be written any more")
    gate.open()
    written = process.communicate(timeout=200)[1]
    assert process.returncode == 2, written
    assert "error: upload: file: " in written
    before, run_id = artifacts(laptop), run_folder(laptop).name
    claims = set(laptop.claims())
    run_unwatched(laptop, "other")
    (claim,) = set(laptop.claims()) - claims
    assert (laptop.folder / "other" / claim.removeprefix("privacy-example/run-") / "receipt.json").exists()
    assert "out cannot be used, not a directory" in laptop.run("privatekube", "publish", run_id, status=2)
    laptop.run("privatekube", "publish", run_id, "--output-dir", "saved")
    published = {name: digest((laptop.folder / "saved" / run_id / name).read_bytes()) for name in before}
    assert published == before
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([2.0, 2.0])


def run_unwatched(laptop: Laptop, prefix: str) -> None:
    """Run the pipeline to its end without anybody who reads what it writes, with a folder in the place of its link."""
    gate = Gate.of(laptop, "consume")
    process = gate.start_run(laptop, f"prefix={prefix}")
    (laptop.folder / prefix / "latest").mkdir()
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    gate.open()
    assert process.wait(200) == 0


@pytest.mark.slow
def test_a_bucket_that_fails_after_its_probe_loses_nothing(
    laptop_with_blocks: Laptop, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop, healthy = laptop_with_blocks, os.environ["STORAGE_EMULATOR_HOST"]
    refusal = bad_stores.Refusal(503, "Backend Error", "backendError")
    with bad_stores.serving(refusal, n_deletions=2) as store:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store.address)
        written = laptop.pipeline(f"prefix={bucket}/kept", status=1)
    assert "error: upload: file: gs://bucket/kept/" in written
    assert "503 Backend Error" in written
    before, run_id = artifacts(laptop), run_folder(laptop).name
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", healthy)
    laptop.run("privatekube", "publish", run_id)
    folder = uris.join(bucket, "kept", run_id)
    assert {name: digest(uris.read_bytes(uris.join(folder, name))) for name in before} == before
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])


@pytest.mark.slow
def test_a_killed_run_holds_its_budget_until_it_is_settled_and_then_cannot_go_on(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    Gate.of(laptop, "dp_train").cut_off(laptop, signal.SIGKILL)
    run_id = run_folder(laptop).name
    (claim,) = laptop.claims().values()
    held = claim["status"]["acquiredBudgets"]
    assert [budget["epsDel"]["epsilon"] for budget in held.values()] == pytest.approx([1.0, 1.0])
    assert [committed(block) for block in laptop.blocks().values()] == [0, 0]
    laptop.run("privatekube", "settle", claim["metadata"]["name"])
    assert claim["metadata"]["name"] == f"run-{run_id}"
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    line = laptop.run("privatekube", "publish", run_id, status=3)
    assert "holds no budget any more" in line
    assert not list((laptop.folder / ".privatekube" / "runs").iterdir())


@pytest.mark.slow
def test_a_killed_run_can_be_discarded(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    Gate.of(laptop, "dp_preprocess").cut_off(laptop, signal.SIGKILL)
    run_id = run_folder(laptop).name
    assert laptop.run("privatekube", "discard", run_id) == f"run {run_id}: removed; claim: consumed\n"
    assert not list((laptop.folder / ".privatekube" / "runs").iterdir())
    assert "run_pipeline.py" not in laptop.run("run_pipeline.py", "--resume", run_id, status=2)


@pytest.mark.slow
def test_a_folder_in_the_place_of_the_latest_link_is_refused_before_the_claim(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    (laptop.folder / "out" / "latest").mkdir(parents=True)
    written = laptop.pipeline(status=2)
    assert len(written.splitlines()) == 1
    assert "out/latest" in written
    assert laptop.claims() == {}


def test_resuming_takes_no_other_arguments(laptop: Laptop) -> None:
    for others in (("--set", "epsilon=2"), ("--check",)):
        line = laptop.run("run_pipeline.py", "--resume", "x", *others, status=2)
        assert line.startswith("error: --resume: 'x' goes with --output-dir alone")


def test_an_unknown_run_is_one_line(laptop: Laptop) -> None:
    line = laptop.run("privatekube", "publish", "nowhere", status=2)
    assert line == "error: run nowhere: does not exist in .privatekube/runs; none is kept here\n"
