"""What the compiled pipeline says about its artifacts: nothing but public and noisy ones may be kept."""

from __future__ import annotations

from kfp import components
from kfp.dsl.base_component import BaseComponent

from pipelines import dp_lstm
from privatekube.kubeflow import run_graph
from privatekube.kubeflow.step_components import StepComponents
from tests.e2e.conftest import ROOT

STANDARD = StepComponents.of_project(ROOT, dp_lstm.STEPS)


def graph(pipeline: BaseComponent) -> run_graph.RunGraph:
    return run_graph.read(pipeline.pipeline_spec, STANDARD.step_of)


def test_the_steps_come_in_order_without_the_exit_task() -> None:
    assert graph(dp_lstm.build(STANDARD.folders)).steps == dp_lstm.STEPS[:-1]


def test_what_holds_private_data_is_not_kept_and_goes_after_its_last_reader() -> None:
    read = graph(dp_lstm.build(STANDARD.folders))
    assert read.last_readers == {"download/blocks": "dp_preprocess", "dp-preprocess/dataset": "dp_evaluate"}
    assert not {"download/blocks", "dp-preprocess/dataset"} & set(read.kept)


def test_what_is_paid_for_is_kept() -> None:
    read = graph(dp_lstm.build(STANDARD.folders))
    assert read.paying == "consume"
    released = {"dp-preprocess/statistics", "dp-train/checkpoint", "dp-evaluate/metrics", "consume/receipt"}
    assert released <= set(read.kept)


def test_a_pipeline_that_does_not_pay_keeps_nothing() -> None:
    text = "name: x\noutputs: [{name: y, type: Artifact}]\nimplementation:\n  container:\n    image: i\n"
    component = components.load_component_from_text(
        text + "    command: [python3, -m, x]\n    args: [{outputPath: y}]\n"
    )
    read = graph(component)
    assert (read.paying, read.kept) == (None, ())
