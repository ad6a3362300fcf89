"""Private data goes through the workspace: an artifact only names its place, which must be inside."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.steps import arguments, interface, workspace

SECRET = b"un-noised"


def write(*, workspace: interface.Workspace, rows: interface.OutputDataset) -> None:
    rows.write_bytes(SECRET)


def write_and_fail(*, workspace: interface.Workspace, rows: interface.OutputDataset) -> None:
    rows.write_bytes(SECRET)
    raise errors.InvalidInput("rows: are wrong; correct them")


def read(*, workspace: interface.Workspace, rows: interface.Dataset, shown: interface.OutputArtifact) -> None:
    shown.write_bytes(rows.read_bytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "artifacts").mkdir()
    return tmp_path


def run(step: Callable[..., None], folder: Path, **names: str) -> int:
    """Run a program with its artifacts in a folder of the test, and return its exit status."""
    paths = {name: str(folder / "artifacts" / path) for name, path in names.items()}
    words = [word for name, path in paths.items() for word in (f"--{name}", path)]
    with pytest.raises(SystemExit) as ended:
        arguments.run_component(step, [*words, "--workspace", str(folder / "workspace")])
    return int(ended.value.code or 0)


def place(folder: Path, path: str) -> Path:
    artifact = folder / "artifacts" / "rows"
    artifact.write_text(json.dumps({"schema_version": 3, "workspace_path": path}))
    return artifact


def refusal(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(read, folder, rows="rows", shown="shown") == 2
    return capsys.readouterr().err


def test_an_artifact_of_private_data_names_a_private_place_in_the_workspace(folder: Path) -> None:
    assert run(write, folder, rows="rows") == 0
    (named,) = folder.rglob("data/*/rows")
    assert named.read_bytes() == SECRET
    assert stat.S_IMODE(named.parent.stat().st_mode) == 0o700
    assert SECRET not in (folder / "artifacts" / "rows").read_bytes()
    assert run(read, folder, rows="rows", shown="shown") == 0
    assert (folder / "artifacts" / "shown").read_bytes() == SECRET


def test_two_tasks_of_a_component_have_places_of_their_own_and_a_repetition_has_the_same(folder: Path) -> None:
    for _ in range(2):
        assert run(write, folder, rows="one") == 0
    assert run(write, folder, rows="two") == 0
    assert len(list(folder.rglob("data/*/rows"))) == 2


def test_a_step_that_fails_hands_on_nothing(folder: Path) -> None:
    assert run(write_and_fail, folder, rows="rows") == 2
    assert not list((folder / "artifacts").iterdir())


@pytest.mark.parametrize("path", ["/etc/hostname", "../artifacts/rows", "data/../../artifacts/rows", ".", "", "link"])
def test_a_place_outside_of_the_workspace_is_refused(
    folder: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "workspace" / "link").symlink_to(folder / "artifacts")
    place(folder, path)
    line = f"error: workspace_path: {path!r} is not below the workspace; pass what the step before has written\n"
    assert refusal(folder, capsys) == line


def test_what_is_not_such_a_document_is_refused_without_its_content(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"", SECRET, b"\x89HDF\r\n\x1a\n" + SECRET, b'{"schema_version": 3, "rows": "un-noised"}'):
        (folder / "artifacts" / "rows").write_bytes(content)
        line = refusal(folder, capsys)
        assert line.startswith("error: ")
        assert line.count("\n") == 1
        assert SECRET.decode() not in line


def test_data_that_is_gone_is_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place(folder, "data/x/rows")
    assert "the data of rows is gone, which a run removes when it ends; start a new run" in refusal(folder, capsys)


def test_a_workspace_that_is_not_there_or_cannot_be_written_is_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place(folder, "data/x/rows")
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_given: False)  # the tests may run as root, who may write anywhere
        assert "cannot be written by user" in refusal(folder, capsys)
    (folder / "workspace").rmdir()
    assert "is not a folder; pass dsl.WORKSPACE_PATH_PLACEHOLDER" in refusal(folder, capsys)


def test_erasing_leaves_the_volume_and_what_its_file_system_has_there(folder: Path) -> None:
    root = folder / "workspace"
    assert run(write, folder, rows="rows") == 0
    (root / "lost+found").mkdir()
    (root / "link").symlink_to(folder / "artifacts")
    (root / "file").touch()
    workspace.erase(root)
    assert [path.name for path in root.iterdir()] == ["lost+found"]
    assert (folder / "artifacts" / "rows").exists()
    workspace.erase(folder / "nowhere")


def test_only_what_names_a_place_inside_is_discarded(folder: Path) -> None:
    root, outside = folder / "workspace", folder / "artifacts" / "rows"
    assert run(write, folder, rows="rows") == 0
    (named,) = root.rglob("rows")
    large: dict[str, Any] = {"schema_version": 3, "workspace_path": str(named.relative_to(root)), "more": " " * 5000}
    (folder / "large").write_text(json.dumps(large))
    for artifact in (folder / "large", folder / "nothing", place(folder, "../artifacts/rows")):
        workspace.discard(root, artifact)
    assert named.exists()
    assert outside.exists()
    workspace.discard(root, place(folder, str(named.relative_to(root))))
    assert not named.exists()
