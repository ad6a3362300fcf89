"""Nothing of the data is ever in the artifact store of a run, which is its pipeline root on this machine."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines import dp_lstm
from privatekube.client import connect
from privatekube.kubeflow import kfp_local
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import Observer, StepFailure
from privatekube.runs import run_arguments
from tests.e2e import leaks
from tests.e2e.conftest import QUICK, ROOT, Laptop

COMPONENTS = StepComponents.of_project(ROOT, dp_lstm.STEPS)
RUN = "watched"


class Watch:
    """Looks at each object of the artifact store whenever a step ends, and at the workspace."""

    def __init__(self, laptop: Laptop) -> None:
        self.store, self.workspace = laptop.folder / "store", laptop.folder / "workspace"
        self.marks = [mark for path in (laptop.folder / ".privatekube").rglob("*.h5") for mark in leaks.marks(path)]
        self.objects: dict[str, set[str]] = {}
        self.private: dict[str, bool] = {}

    def on_end(self, step: str, _status: int) -> None:
        self.require_clean()
        self.objects[step] = {f"{path.parent.name}/{path.name}" for path in files(self.store)}
        self.private[step] = any(leaks.has_any(path, self.marks) for path in files(self.workspace))

    def require_clean(self) -> None:
        assert self.marks
        assert [path for path in files(self.store) if leaks.has_any(path, self.marks)] == []


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def ignore(_step: str, _line: str = "") -> None:
    """Do nothing."""


def run(laptop: Laptop, watch: Watch, on_line: Callable[[str, str], None] = ignore) -> StepFailure | None:
    arguments = run_arguments.load(ROOT / "arguments.yaml", (*QUICK, f"prefix={laptop.folder / 'out'}"))
    return kfp_local.run(
        dp_lstm.build(COMPONENTS.folders, in_images=False),
        arguments.model_dump(mode="json"),
        run_id=RUN,
        work=watch.store,
        workspace=watch.workspace,
        components=COMPONENTS,
        observer=Observer(on_start=ignore, on_line=on_line, on_end=watch.on_end),
        log=io.StringIO(),
    )


@contextmanager
def steps_of(laptop: Laptop) -> Iterator[None]:
    """Have the steps use the store of the laptop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(laptop.folder)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv(connect.STORE, f"sqlite:///{laptop.folder}/.privatekube/state.db")
        yield


@pytest.mark.slow
def test_a_run_leaves_noisy_outputs_and_documents_in_the_store_and_nothing_in_the_workspace(
    laptop_with_blocks: Laptop,
) -> None:
    laptop = laptop_with_blocks
    watch = Watch(laptop)
    with steps_of(laptop):
        assert run(laptop, watch) is None
    watch.require_clean()
    assert watch.objects["upload"] >= {"download/blocks", "dp-preprocess/dataset", "dp-train/checkpoint"}
    assert all(watch.private[step] for step in ("download", "dp_preprocess", "dp_train", "upload"))
    assert not watch.private["release"]
    assert not watch.workspace.exists()
    small = [path for path in files(watch.store) if path.name in {"blocks", "dataset"}]
    assert all(os.stat(path).st_size < 200 for path in small)


@pytest.mark.slow
def test_a_run_that_is_interrupted_leaves_nothing_of_the_data(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    watch = Watch(laptop)

    def interrupt(step: str, _line: str) -> None:
        if step == "dp_preprocess":
            raise KeyboardInterrupt

    with steps_of(laptop), pytest.raises(KeyboardInterrupt):
        run(laptop, watch, interrupt)
    watch.require_clean()
    assert watch.private == {"allocate": False, "download": True}
    assert not watch.workspace.exists()
