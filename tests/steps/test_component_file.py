"""component.yaml is written from the program; what the author says in it is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import components

from privatekube import errors
from privatekube.steps import component_file

PROGRAM = '''
from privatekube.steps import interface

def {name}(
    *, grant: interface.Artifact, keys: int = 5, note: str = 'a "b": c', counts: interface.OutputArtifact
) -> None:
    """Count rows: all of them.

    Args:
        grant: from allocate.
        keys: how many "keys" there are.
        note: anything.
        counts: noisy counts (JSON).
    """
'''


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a component without a file."""
    path = tmp_path / "count_rows"
    path.mkdir()
    (path / "__init__.py").touch()
    (path / "__main__.py").write_text(PROGRAM.format(name="count_rows"))
    yield path
    for name in [name for name in sys.modules if name.partition(".")[0] == "count_rows"]:
        del sys.modules[name]


def test_a_new_file_loads_in_kubeflow_with_the_names_of_the_program(folder: Path) -> None:
    (folder / "component.yaml").write_text(component_file.generate(folder))
    assert component_file.is_current(folder)
    spec = components.load_component_from_file(str(folder / "component.yaml")).component_spec
    assert (spec.name, spec.description) == ("count-rows", "Count rows: all of them.")
    assert set(spec.inputs) == {"grant", "keys", "note"}
    assert (spec.inputs["keys"].default, spec.inputs["note"].default) == (5, 'a "b": c')
    assert spec.implementation.container.command == ["python3", "-m", "count_rows"]
    assert spec.implementation.container.args[-2] == "--counts"


def test_what_the_author_says_is_kept_and_the_rest_follows_the_program(folder: Path) -> None:
    path = folder / "component.yaml"
    text = component_file.generate(folder)
    pinned = text.replace("example/count-rows", f"host:5000/team/count@sha256:{'0' * 64}")
    written = pinned.replace("# Interface", "# Ours.\n# Interface").replace("name: Count rows", 'name: "Count: all"')
    path.write_text(written)
    assert component_file.is_current(folder)
    path.write_text(written.replace("Integer", "Float").replace("- --note\n", "- --notes\n"))
    assert not component_file.is_current(folder)
    assert component_file.generate(folder) == written


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("implementation:", "metadata: {}\nimplementation:", "'metadata' is not kept when the file is written; remove"),
        ("    args:", "    env: {}\n    args:", "'env' is not kept when the file is written; remove it"),
        ("[python3, -m, count_rows]", "[sh, -c, ls]", r"must be \[python3, -m, MODULE\]"),
        ("[python3, -m, count_rows]", "[python3, -m, other]", "'other' is not .*count_rows/__main__.py; correct the"),
        ("image: example/count-rows", "image: [a]", r"image: \['a'\] must be text"),
    ],
)
def test_what_would_be_lost_or_leads_elsewhere_is_a_line(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "component.yaml").write_text(component_file.generate(folder).replace(old, new))
    with pytest.raises(errors.InvalidInput, match=message):
        component_file.is_current(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import a_module_that_is_not_there", "cannot be imported"),
        ("def count_rows(:", "cannot be imported"),
        ("import docker.nothing", "docker: is not installed; this needs the extra images"),
        (PROGRAM.format(name="count"), "has no function count_rows"),
    ],
)
def test_a_program_that_is_not_there_is_a_line(folder: Path, text: str, message: str) -> None:
    (folder / "__main__.py").write_text(text)
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        component_file.generate(folder)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_without_a_file_or_a_program_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"holds no component\.yaml; generate it"):
        component_file.is_current(tmp_path)
    with pytest.raises(errors.InvalidInput, match=r"has no __main__\.py; write its program"):
        component_file.generate(tmp_path)


def test_a_module_of_the_same_name_elsewhere_is_not_taken_for_the_program(folder: Path, tmp_path: Path) -> None:
    component_file.generate(folder)
    other = tmp_path / "elsewhere" / "count_rows"
    other.mkdir(parents=True)
    (other / "__main__.py").write_text(PROGRAM.format(name="count_rows"))
    with pytest.raises(errors.InvalidInput, match="has no function count_rows"):
        component_file.generate(other)
