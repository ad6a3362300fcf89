"""`privatekube init` writes a project whose parts agree with each other, into an empty folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from privatekube import errors
from privatekube.client import plan_file
from privatekube.data.tables import schema
from privatekube.kubeflow import compilation
from privatekube.lint import flattening, package, roles, rules
from privatekube.privacy.plan import Plan
from privatekube.runs import run_arguments
from privatekube.starter import writing
from privatekube.steps import component_file


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("starter") / "new" / "project"
    writing.write(folder)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "count_columns"]:
        del sys.modules[name]


def test_every_file_of_the_project_is_written(project: Path) -> None:
    names = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    component = {"__main__.py", "component.yaml", "plan.yaml", "Dockerfile"}
    assert names - {f"count_columns/{name}" for name in component} == {
        *(".gitignore", "Makefile", "README.md", "arguments.yaml", "pipeline.py", "schema.yaml", "visits.csv"),
    }
    for name in names:
        if "/" not in name and name not in {"README.md", ".gitignore", "Makefile"}:
            assert f"`{name}`" in (project / "README.md").read_text()


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt", tmp_path / "mine.txt" / "below"):
        with pytest.raises(errors.InvalidInput) as refusal:
            writing.write(folder)
        assert len(str(refusal.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(errors.InvalidInput, match="is not empty; name one that does not exist"):
        writing.write(tmp_path)


def test_the_component_is_what_its_program_says(project: Path) -> None:
    assert component_file.is_current(project / "count_columns")


def test_the_plan_names_categories_of_the_schema(project: Path) -> None:
    plan = plan_file.read(project / "count_columns" / "plan.yaml")
    assert isinstance(plan, Plan)
    declared = schema.read(project / "schema.yaml")
    assert {step.name for step in plan.steps} == {*declared.features, declared.label.column if declared.label else ""}
    assert sum(step.share or 0 for step in plan.steps) == 1


def test_the_arguments_are_those_of_a_run(project: Path) -> None:
    assert run_arguments.load(project / "arguments.yaml").dataset == schema.read(project / "schema.yaml").dataset


def pipeline_of(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("starter_pipeline", project / "pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_column_that_cannot_be_counted_and_another_dataset_are_found_before_the_claim(tmp_path: Path) -> None:
    project = tmp_path / "project"
    writing.write(project)
    module = pipeline_of(project)
    module.require_columns()
    plan = project / "count_columns" / "plan.yaml"
    plan.write_text(plan.read_text().replace("name: ward", "name: wards"))
    with pytest.raises(errors.InvalidInput, match=r"plan.yaml: name: 'wards' is not a category of schema.yaml"):
        module.require_columns()
    arguments = project / "arguments.yaml"
    arguments.write_text(arguments.read_text().replace("dataset: visits", "dataset: amazon"))
    with pytest.raises(errors.InvalidInput, match=r"dataset: 'amazon' is not that of schema.yaml, visits"):
        module.require_columns()


def test_the_pipeline_breaks_no_rule_but_that_its_image_is_not_built(project: Path, tmp_path: Path) -> None:
    compilation.compile_to(pipeline_of(project).counts, tmp_path / "counts.yaml")
    pipeline = roles.read(flattening.flatten(package.read(tmp_path / "counts.yaml")))
    assert pipeline.of == {"count-columns": set(roles.Role)}
    assert [finding.rule for finding in rules.check(pipeline)] == ["mutable-image"]
