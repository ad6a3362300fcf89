"""The folder of a paid run, copied file by file: it buys no second release, and can be published by hand."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines import dp_lstm
from privatekube import errors
from privatekube.data import any_block, stored_block
from privatekube.steps import documents, workspace
from tests.e2e.conftest import ROOT, Laptop
from tests.e2e.gates import Gate

pytestmark = pytest.mark.slow

SPENDS = {"dp_preprocess": "spend_statistics", "dp_train": "spend_training", "dp_evaluate": "spend_evaluation"}
RELEASES = {"dp_preprocess": "statistics", "dp_train": "checkpoint", "dp_evaluate": "metrics"}
NAMES = ("statistics.json", "model.pt", "metrics.json")
"""What each of the released files is called where it is published."""
CARD = {"privacy-card.json", "privacy-card.md"}
"""Published files that name the software that wrote them."""


@dataclass(frozen=True)
class Copy:
    """The artifacts of a run in a folder of their own, and the step programs on them.

    Args:
        laptop: where the run was.
        folder: has an artifact of the run under each name that the steps give it, and spends by their step.
        published: what the run itself published, by file name.
        recorded: what the control plane knows, see `control_plane`.
    """

    laptop: Laptop
    folder: Path
    published: dict[str, bytes]
    recorded: tuple[Any, Any, Any]

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def step(self, step: str, *names: str, status: int = 0, **given: str) -> str:
        """Run a step's program with artifacts of the same `names` and `given` arguments; return what it wrote."""
        arguments = {name: self.path(name) for name in names} | given
        words = [word for name, value in arguments.items() for word in (f"--{name.replace('_', '-')}", value)]
        return self.execute([sys.executable, "-m", f"components.{step}", *words], status=status)

    def execute(self, command: list[str] | str, *, status: int = 0) -> str:
        """Run a command in the checkout on the laptop's store, check its status, and return what it wrote."""
        store = f"sqlite:///{self.laptop.folder}/.privatekube/state.db"
        done = subprocess.run(
            command,
            shell=isinstance(command, str),
            cwd=ROOT,
            env={**self.laptop.environment, "PRIVATEKUBE_STORE": store},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def publish(self, prefix: str, *, images: str = "{}", status: int = 0) -> str:
        """Publish the artifacts below a prefix in the copy."""
        released = [word for name in RELEASES.values() for word in ("--released", self.path(name))]
        own = [word for name in ("grant", "receipt", "location") for word in (f"--{name}", self.path(name))]
        given = ["--names", json.dumps(NAMES), "--images", images, "--prefix", self.path(prefix)]
        return self.execute([sys.executable, "-m", "components.upload", *own, *released, *given], status=status)

    def files_below(self, prefix: str) -> dict[str, bytes]:
        """Return the files that are published below a prefix in the copy."""
        (folder,) = [path for path in (self.folder / prefix).iterdir() if not path.is_symlink()]
        return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return the artifacts of a run that was killed after it had paid, and that was then published."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop"))
    laptop.run("demo_blocks.py", "create", "--days", "1", "--accounting", "epsdel")
    Gate.of(laptop, "upload").cut_off(laptop, signal.SIGKILL)
    (run,) = (laptop.folder / ".privatekube" / "runs").iterdir()
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(run, folder / "run")
    for path in (folder / "run").rglob("*"):
        name = path.name if path.name != "spend" else SPENDS[path.parent.name.replace("-", "_")]
        if path.is_file() and name in {"grant", "receipt", *RELEASES.values(), *SPENDS.values()}:
            shutil.copyfile(path, folder / name)
    laptop.run("privatekube", "publish", run.name)
    files = [path for path in (laptop.folder / "out" / run.name).iterdir() if path.name != "report.html"]
    published = {path.name: path.read_bytes() for path in files}
    return Copy(laptop, folder, published, control_plane(laptop))


def control_plane(laptop: Laptop) -> tuple[Any, Any, Any]:
    """Return the blocks, the claims without the card they ask for, and the ledger."""
    registered = {name: claim["spec"]["requests"] for name, claim in laptop.claims().items()}
    return laptop.blocks(), registered, laptop.json("ledger")


@pytest.fixture
def copy(paid: Copy, tmp_path: Path) -> Iterator[Copy]:
    """Return a true copy of the artifacts; the control plane must know the same after the test as before all."""
    shutil.copytree(paid.folder, tmp_path / "copy")
    yield replace(paid, folder=tmp_path / "copy")
    assert control_plane(paid.laptop) == paid.recorded


def test_no_step_of_a_paid_run_releases_again_in_a_copy_of_its_folder(copy: Copy) -> None:
    (block,) = (copy.laptop.folder / ".privatekube" / "blocks").rglob("*.h5")
    data = copy.folder / "workspace" / "data"
    granted = documents.read(documents.Grant, copy.folder / "grant")
    source = {stated.id: stated.digest for stated in granted.blocks}
    for name in ("blocks", "dataset"):
        stored_block.write(data / name, [any_block.read_block(block)], source=source)  # who has the data needs no step
        documents.write(workspace.Place(workspace_path=f"data/{name}"), copy.folder / name)
    for name in ("statistics", "checkpoint"):  # in clear, as anybody can read them now
        (copy.folder / name).write_bytes(copy.published[dp_lstm.PUBLISHED[name]])
    inputs = {
        "dp_preprocess": ("blocks", "dataset", "statistics"),
        "dp_train": ("dataset", "statistics", "checkpoint"),
        "dp_evaluate": ("dataset", "checkpoint", "metrics"),
    }
    for step, names in inputs.items():
        device = {} if step == "dp_preprocess" else {"device": "cpu"}
        output, spend = copy.folder / RELEASES[step], copy.folder / SPENDS[step]
        kept, cost = output.read_bytes(), spend.read_bytes()
        output.unlink()
        spend.unlink()
        given = {"spend": copy.path(SPENDS[step]), "workspace": copy.path("workspace"), **device}
        written = copy.step(step, "grant", *names, status=errors.BudgetExceeded.exit_status, **given)
        assert f"{step} has released already" in written
        assert not output.exists()
        assert not spend.exists()
        output.write_bytes(kept)
        spend.write_bytes(cost)


def test_a_paid_run_is_not_paid_again_and_its_receipt_is_the_same(copy: Copy) -> None:
    receipt = (copy.folder / "receipt").read_bytes()
    (copy.folder / "receipt").unlink()
    spends = [word for name in SPENDS.values() for word in ("--spend", copy.path(name))]
    words = ["--grant", copy.path("grant"), *spends, "--receipt", copy.path("receipt")]
    copy.execute([sys.executable, "-m", "components.consume", *words])
    assert (copy.folder / "receipt").read_bytes() == receipt == copy.published["receipt.json"]


def test_a_copy_publishes_the_same_release_wherever_and_however_often(copy: Copy) -> None:
    for prefix in ("first", "second", "first"):
        copy.publish(prefix)
    assert copy.files_below("first") == copy.files_below("second")
    assert copy.files_below("first").keys() == copy.published.keys()
    for name in copy.published.keys() - CARD:
        assert copy.files_below("first")[name] == copy.published[name]


@pytest.mark.parametrize("name", ["grant", *RELEASES.values()])
def test_what_was_changed_in_a_copy_is_not_published(copy: Copy, name: str) -> None:
    artifact = copy.folder / name
    artifact.write_bytes(artifact.read_bytes() + b" ")
    unpaid = ("is not what the receipt paid for", errors.BudgetExceeded.exit_status)
    message, status = unpaid if name == "grant" else ("is damaged", errors.CorruptData.exit_status)
    assert message in copy.publish("other", status=status)
    assert not (copy.folder / "other").exists()


def documented_command() -> str:
    """Return the command with which docs/privacy.md publishes the artifacts of a run by hand."""
    text = (ROOT / "docs" / "privacy.md").read_text()
    pattern = r"```\n +PRIVATEKUBE_STORE=kubernetes (python -m components\.upload .*?)```"
    (command,) = re.findall(pattern, text, re.DOTALL)
    return str(command)


def test_the_documented_command_publishes_the_artifacts_of_a_run_whose_upload_failed(copy: Copy) -> None:
    (copy.folder / "full").write_text("in the way: no folder can be written here")
    copy.publish("full", status=errors.InvalidInput.exit_status)
    command = documented_command().replace("artifacts/", f"{copy.folder}/").replace("python -m", f"{sys.executable} -m")
    written = copy.execute(command.replace("gs://bucket/runs", copy.path("saved")))
    assert f"published to {copy.folder}/saved/" in written
    published = copy.files_below("saved")
    assert published.keys() == copy.published.keys()
    for name in published.keys() - CARD:
        assert published[name] == copy.published[name]
    card = next((copy.folder / "saved").iterdir()) / "privacy-card.json"
    assert "signature: valid" in copy.execute([sys.executable, "-m", "privatekube.cli", "verify-card", str(card)])


def test_a_card_that_an_upload_left_behind_is_not_overwritten_by_another(copy: Copy) -> None:
    copy.publish("place")
    (folder,) = (copy.folder / "place").iterdir()
    (folder / "receipt.json").unlink()  # as an upload leaves it that fails before its last file
    images = '{"upload": "registry/upload@sha256:' + "1" * 64 + '"}'
    before = (folder / "privacy-card.json").read_bytes()
    written = copy.publish("place", images=images, status=errors.AlreadyExists.exit_status)
    assert "privacy-card.json has another result; publish to another prefix" in written
    assert (folder / "privacy-card.json").read_bytes() == before
    copy.publish("another", images=images)
    assert copy.files_below("another")["receipt.json"] == copy.published["receipt.json"]
