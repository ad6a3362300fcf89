"""Loops, conditions, exit handlers and pipelines in pipelines hide nothing from the rules.

kfp reads the annotations of components, so this module does not postpone them.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kfp import compiler, dsl, kubernetes

from privatekube import errors
from privatekube.lint import flattening, package, roles, rules
from privatekube.lint.graph import Graph, Output
from tests.examples import examples
from tests.lint.test_rules import CACHED, found, guarded, outer

Document = dict[str, Any]


@dsl.container_component  # type: ignore[untyped-decorator]  # kfp has no types
def make(rows: dsl.Output[dsl.Dataset]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="make", command=["make"], args=[rows.path])


@dsl.container_component  # type: ignore[untyped-decorator]  # kfp has no types
def use(rows: dsl.Input[dsl.Dataset], size: int) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="use", command=["use"], args=[rows.path, size])


@dsl.container_component  # type: ignore[untyped-decorator]  # kfp has no types
def end() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="end", command=["end"])


@dsl.pipeline  # type: ignore[untyped-decorator]  # kfp has no types
def inner(rows: dsl.Input[dsl.Dataset], size: int) -> dsl.Dataset:
    made = make().set_retry(2)
    use(rows=rows, size=size).after(made)
    return made.outputs["rows"]


@dsl.pipeline  # type: ignore[untyped-decorator]  # kfp has no types
def nested(uri: str = "gs://rows") -> None:
    with dsl.ExitHandler(end()):
        imported = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset)
        first = inner(rows=imported.output, size=3).set_retry(5)
        with dsl.If(uri == "gs://rows"), dsl.ParallelFor([1, 2]) as size:
            use(rows=first.output, size=size)


def graph_of(document: Document) -> Graph:
    return flattening.flatten(package.of_documents([document], source="pipeline.yaml"))


@pytest.fixture(scope="module")
def nested_graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("nested") / "pipeline.yaml"
    compiler.Compiler().compile(nested, str(path))
    return flattening.flatten(package.read(path))


def test_a_step_has_the_names_of_the_graphs_around_it_where_its_own_is_not_enough(nested_graph: Graph) -> None:
    assert {name.rpartition("/")[2] for name in nested_graph.steps} == {"end", "importer", "make", "use"}
    assert {"end", "importer", "make", "exit-handler-1/inner/use"} < nested_graph.steps.keys()
    assert len(nested_graph.steps) == 5


def test_what_a_step_in_a_graph_reads_is_traced_to_the_step_that_wrote_it(nested_graph: Graph) -> None:
    (looped,) = [step for name, step in nested_graph.steps.items() if "for-loop" in name]
    assert looped.inputs["rows"] == {Output("make", "rows")}
    assert nested_graph.steps["exit-handler-1/inner/use"].inputs["rows"] == {Output("importer", "artifact")}
    assert nested_graph.steps["importer"].inputs["uri"] == {Output(None, "uri")}


def test_a_step_comes_after_all_that_the_graphs_around_it_wait_for(nested_graph: Graph) -> None:
    (looped,) = [step for name, step in nested_graph.steps.items() if "for-loop" in name]
    assert looped.after == {"importer", "make", "exit-handler-1/inner/use"}
    assert nested_graph.steps["make"].after == {"importer"}
    assert nested_graph.steps["end"].after == set()


def test_a_step_is_repeated_with_the_graphs_around_it_and_guarded_by_their_exit_tasks(nested_graph: Graph) -> None:
    assert {name: step.retries for name, step in nested_graph.steps.items() if step.retries} == {
        "make": 5,
        "exit-handler-1/inner/use": 5,
    }
    assert {name for name, step in nested_graph.steps.items() if step.exit_tasks == {"end"}} == {
        name for name in nested_graph.steps if name != "end"
    }


def as_a_part(document: Document) -> Document:
    """Return a pipeline whose only task is the whole pipeline of `document`."""
    whole = copy.deepcopy(document)
    whole["components"]["comp-whole"] = whole.pop("root")
    names = whole["components"]["comp-whole"].get("inputDefinitions", {}).get("parameters", {})
    inputs = {"parameters": {name: {"componentInputParameter": name} for name in names}}
    task = {"componentRef": {"name": "comp-whole"}, "cachingOptions": CACHED, "inputs": inputs}
    whole["root"] = {"dag": {"tasks": {"whole": task}}}
    return whole


def test_the_shipped_pipeline_breaks_no_rule_as_a_part_of_another(shipped: Document) -> None:
    assert found(as_a_part(shipped)) == set()
    guarded(shipped)["consume"]["cachingOptions"] = CACHED
    assert found(as_a_part(shipped)) == {("cached-step", "consume")}


def test_a_reference_that_leads_nowhere_is_a_line(shipped: Document) -> None:
    guarded(shipped)["upload"]["dependentTasks"] = ["paid"]
    with pytest.raises(errors.InvalidInput, match=r"task: 'exit-handler-1/paid' is referred to but not defined"):
        graph_of(shipped)


def test_a_component_that_contains_itself_is_a_line(shipped: Document) -> None:
    guarded(shipped)["again"] = copy.deepcopy(outer(shipped)["exit-handler-1"])
    with pytest.raises(errors.InvalidInput, match=r"component: 'comp-exit-handler-1' contains itself"):
        graph_of(shipped)


def test_graphs_that_multiply_end_at_a_bound() -> None:
    def twice(component: str) -> Document:
        tasks = {name: {"componentRef": {"name": component}} for name in ("a", "b")}
        selectors = [{"producerSubtask": name, "outputArtifactKey": "x"} for name in ("a", "b")]
        return {"dag": {"tasks": tasks, "outputs": {"artifacts": {"x": {"artifactSelectors": selectors}}}}}

    parts = {f"c{depth}": twice(f"c{depth + 1}") for depth in range(40)}
    document = {
        "components": {**parts, "c40": {"executorLabel": "e"}},
        "deploymentSpec": {"executors": {"e": {"container": {"image": "i"}}}},
        "root": twice("c0"),
        "schemaVersion": "2.1.0",
    }
    with pytest.raises(errors.InvalidInput, match=r"has more than 1000 tasks"):
        graph_of(document)


def places(document: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values in a document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place for key, value in items for place in ((*path, key), *places(value, (*path, key)))]


SCRAPS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]), st.just({}))


@settings(max_examples=examples(60))
@given(data=st.data())
def test_a_damaged_package_is_checked_or_refused_in_one_line(data: st.DataObject, shipped_json: str) -> None:
    document = json.loads(shipped_json)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(document)))
        parent = document
        for key in path:
            parent = parent[key]
        parent[last] = data.draw(SCRAPS)
    try:
        rules.check(roles.read(graph_of(document)))
    except errors.InvalidInput as refusal:
        assert len(str(refusal).splitlines()) == 1  # noqa: PT017 - most damaged packages are refused, not all


@dsl.container_component  # type: ignore[untyped-decorator]  # kfp has no types
def use_again(rows: dsl.Input[dsl.Dataset]) -> dsl.ContainerSpec:
    """Use rows; with the same program as another task, kfp may give both tasks the volumes of one."""
    return dsl.ContainerSpec(image="use-again", command=["use"], args=[rows.path])


@dsl.pipeline(name="reader")  # type: ignore[untyped-decorator]  # kfp has no types
def reader(volume: str) -> None:
    kubernetes.mount_pvc(use_again(rows=make().output), pvc_name=volume, mount_path="/inner")


@dsl.pipeline(name="volumes")  # type: ignore[untyped-decorator]  # kfp has no types
def volumes(volume: str) -> None:
    own = kubernetes.CreatePVC(access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="standard")
    step = use(rows=make().output, size=1)
    kubernetes.mount_pvc(step, pvc_name=own.outputs["name"], mount_path="/own")
    kubernetes.mount_pvc(step, pvc_name="cache", mount_path="/fixed")
    kubernetes.mount_pvc(step, pvc_name=volume, mount_path="/named")
    reader(volume=own.outputs["name"])
    reader(volume=volume)


def test_a_volume_that_a_step_of_the_run_makes_is_the_runs_own_and_others_outlive_it(tmp_path: Path) -> None:
    compiler.Compiler().compile(volumes, str(tmp_path / "volumes.yaml"))
    graph = flattening.flatten(package.read(tmp_path / "volumes.yaml"))
    mounted = {step.name: step.shared_volumes for step in graph.steps.values() if "use" in step.name}
    assert mounted == {
        "use": ("the volume at /fixed", "the volume at /named"),
        "reader/use-again": (),
        "reader-2/use-again": ("the volume at /inner",),
    }
