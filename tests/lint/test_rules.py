"""Each rule finds the pipeline that breaks it, and nothing else in it; the shipped pipeline breaks none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from privatekube import errors
from privatekube.lint import flattening, package, roles, rules
from tests.lint.conftest import ROOT

Document = dict[str, Any]
CACHED = {"enableCache": True}
RETRIED = {"maxRetryCount": 2}
ARTIFACT = {"artifactType": {"schemaTitle": "system.Artifact"}}


def read(document: Document) -> roles.Roles:
    """Return the steps of a package and their roles."""
    pipeline, platforms = dict(document), document.get("platforms")
    pipeline.pop("platforms", None)
    documents = [pipeline] if platforms is None else [pipeline, {"platforms": platforms}]
    return roles.read(flattening.flatten(package.of_documents(documents, source="pipeline.yaml")))


def found(document: Document) -> set[tuple[str, str]]:
    """Return which rule finds which step in a package."""
    return {(finding.rule, finding.step) for finding in rules.check(read(document))}


def guarded(document: Document) -> Document:
    """Return the tasks inside the exit handler."""
    tasks: Document = document["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    return tasks


def outer(document: Document) -> Document:
    """Return the tasks beside the exit handler, and the exit handler."""
    tasks: Document = document["root"]["dag"]["tasks"]
    return tasks


def drop_input(document: Document, task: str, name: str, producer: str) -> None:
    """Remove an artifact that a task reads, and its waiting for the step that writes it."""
    spec = guarded(document)[task]
    del spec["inputs"]["artifacts"][name]
    del document["components"][spec["componentRef"]["name"]]["inputDefinitions"]["artifacts"][name]
    if not any(source["taskOutputArtifact"]["producerTask"] == producer for source in _artifacts(spec)):
        spec["dependentTasks"].remove(producer)


def _artifacts(spec: Document) -> list[Document]:
    return list(spec["inputs"]["artifacts"].values())


def add_step(document: Document, name: str, reads: dict[str, tuple[str, str]]) -> None:
    """Add a step inside the exit handler that reads outputs of others: by input, the task and its output."""
    inputs = {
        key: {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": output}}
        for key, (task, output) in reads.items()
    }
    guarded(document)[name] = {
        "componentRef": {"name": f"comp-{name}"},
        "cachingOptions": {},
        "dependentTasks": sorted({task for task, _ in reads.values()}),
        "inputs": {"artifacts": inputs},
    }
    definitions = {"artifacts": dict.fromkeys(reads, ARTIFACT)}
    document["components"][f"comp-{name}"] = {"executorLabel": f"exec-{name}", "inputDefinitions": definitions}
    image = document["deploymentSpec"]["executors"]["exec-upload"]["container"]["image"]
    document["deploymentSpec"]["executors"][f"exec-{name}"] = {"container": {"image": image}}


def cache_allocate(document: Document) -> None:
    guarded(document)["allocate"]["cachingOptions"] = CACHED


def cache_download(document: Document) -> None:
    guarded(document)["download"]["cachingOptions"] = CACHED


def cache_train_in_snake_case(document: Document) -> None:
    del guarded(document)["dp-train"]["cachingOptions"]
    guarded(document)["dp-train"]["caching_options"] = {"enable_cache": True}


def cache_consume(document: Document) -> None:
    guarded(document)["consume"]["cachingOptions"] = CACHED


def retry_evaluate(document: Document) -> None:
    guarded(document)["dp-evaluate"]["retryPolicy"] = RETRIED


def retry_all(document: Document) -> None:
    outer(document)["exit-handler-1"]["retryPolicy"] = RETRIED


def upload_without_receipt(document: Document) -> None:
    drop_input(document, "upload", "receipt", "consume")


def upload_after_a_payment_that_failed(document: Document) -> None:
    guarded(document)["upload"]["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def mail_the_metrics(document: Document) -> None:
    add_step(document, "mail", {"metrics": ("dp-evaluate", "metrics")})


def import_a_checkpoint(document: Document) -> None:
    add_step(document, "importer", {})
    uri = {"taskOutputParameter": {"producerTask": "dp-train", "outputParameterKey": "uri"}}
    guarded(document)["importer"]["inputs"]["parameters"] = {"uri": uri}
    document["deploymentSpec"]["executors"]["exec-importer"] = {
        "importer": {"artifactUri": {"runtimeParameter": "uri"}}
    }


def forget_to_pay_for_training(document: Document) -> None:
    drop_input(document, "consume", "spend_training", "dp-train")


def export_the_reviews(document: Document) -> None:
    add_step(document, "export", {"grant": ("allocate", "grant"), "rows": ("dp-preprocess", "dataset")})


def preview_the_workspace(document: Document) -> None:
    add_step(document, "preview", {"grant": ("allocate", "grant")})
    inputs: Document = guarded(document)["preview"]["inputs"]
    inputs["parameters"] = {"folder": {"runtimeValue": {"constant": "{{$.workspace_path}}/data"}}}
    document["components"]["comp-preview"]["outputDefinitions"] = {"artifacts": {"page": ARTIFACT}}


def preview_the_workspace_of_the_graph(document: Document) -> None:
    preview_the_workspace(document)
    inputs = guarded(document)["preview"]["inputs"]["parameters"]
    outer(document)["exit-handler-1"]["inputs"]["parameters"]["place"] = inputs.pop("folder")
    inputs["folder"] = {"componentInputParameter": "place"}


def preview_the_workspace_of_the_command(document: Document) -> None:
    preview_the_workspace(document)
    del guarded(document)["preview"]["inputs"]["parameters"]
    container = document["deploymentSpec"]["executors"]["exec-preview"]["container"]
    container["args"] = ["--folder={{$.workspace_path}}"]


def return_the_reviews(document: Document) -> None:
    selector = {"producerSubtask": "dp-preprocess", "outputArtifactKey": "dataset"}
    group = document["components"]["comp-exit-handler-1"]["dag"]
    group["outputs"] = {"artifacts": {"rows": {"artifactSelectors": [selector]}}}
    selector = {"producerSubtask": "exit-handler-1", "outputArtifactKey": "rows"}
    document["root"]["dag"]["outputs"] = {"artifacts": {"rows": {"artifactSelectors": [selector]}}}


def download_without_grant(document: Document) -> None:
    drop_input(document, "download", "grant", "allocate")


def show_metrics(document: Document) -> None:
    outputs = document["components"]["comp-dp-evaluate"]["outputDefinitions"]["artifacts"]
    outputs["metrics"]["artifactType"] = {"schemaTitle": "system.ClassificationMetrics", "schemaVersion": "0.0.1"}


def return_the_loss(document: Document) -> None:
    outputs = document["components"]["comp-dp-train"]["outputDefinitions"]
    outputs["parameters"] = {"loss": {"parameterType": "NUMBER_DOUBLE"}}


def run_latest(document: Document) -> None:
    document["deploymentSpec"]["executors"]["exec-consume"]["container"]["image"] = (
        "registry.example.org/consume:latest"
    )


def run_a_short_digest(document: Document) -> None:
    document["deploymentSpec"]["executors"]["exec-upload"]["container"]["image"] = "registry.example.org/u@sha256:00"


def on_kubernetes(document: Document, step: str, pod: Document) -> None:
    """Say in the second document what the pod of a step gets."""
    document["platforms"] = {"kubernetes": {"deploymentSpec": {"executors": {f"exec-{step}": pod}}}}


def mount_a_volume_of_all_runs(document: Document) -> None:
    volume = {"mountPath": "/cache", "pvcNameParameter": {"runtimeValue": {"constant": "cache"}}}
    on_kubernetes(document, "dp-train", {"pvcMount": [volume]})


def mount_a_volume_that_the_user_names(document: Document) -> None:
    volume = {"mountPath": "/cache", "componentInputParameter": "pipelinechannel--prefix"}
    on_kubernetes(document, "download", {"pvcMount": [volume]})


def work_in_a_volume_that_stays(document: Document) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "volumeName": "disk"}
    config = {"workspace": {"size": "10Gi", "kubernetes": {"pvcSpecPatch": claim}}}
    document["platforms"] = {"kubernetes": {"pipelineConfig": config}}


def train_with_the_keys_of_the_bucket(document: Document) -> None:
    on_kubernetes(document, "dp-train", {"secretAsEnv": [{"secretName": "keys", "keyToEnv": []}]})


def evaluate_with_a_mounted_key(document: Document) -> None:
    secret = {"secretNameParameter": {"runtimeValue": {"constant": "keys"}}, "mountPath": "/keys"}
    on_kubernetes(document, "dp-evaluate", {"secretAsVolume": [secret]})


def without_exit_task(document: Document) -> None:
    del outer(document)["release"]


def claim_outside_the_exit_handler(document: Document) -> None:
    outer(document)["allocate"] = guarded(document).pop("allocate")
    for value in outer(document)["allocate"]["inputs"]["parameters"].values():
        if "componentInputParameter" in value:
            value["componentInputParameter"] = value["componentInputParameter"].removeprefix("pipelinechannel--")
    outer(document)["exit-handler-1"]["dependentTasks"] = ["allocate"]
    grant = {"taskOutputArtifact": {"producerTask": "allocate", "outputArtifactKey": "grant"}}
    outer(document)["exit-handler-1"]["inputs"]["artifacts"] = {"grant": grant}
    for task in guarded(document).values():
        task["dependentTasks"] = [name for name in task.get("dependentTasks", []) if name != "allocate"]
        if "grant" in task["inputs"].get("artifacts", {}):
            task["inputs"]["artifacts"]["grant"] = {"componentInputArtifact": "grant"}


CLAIM_NOISE_PAY = ("allocate", "dp-preprocess", "dp-train", "dp-evaluate", "consume")
BROKEN: list[tuple[Callable[[Document], None], str, tuple[str, ...]]] = [
    (cache_allocate, "cached-step", ("allocate",)),
    (cache_download, "cached-step", ("download",)),
    (cache_train_in_snake_case, "cached-step", ("dp-train",)),
    (cache_consume, "cached-step", ("consume",)),
    (retry_evaluate, "blind-retry", ("dp-evaluate",)),
    (retry_all, "blind-retry", CLAIM_NOISE_PAY),
    (upload_without_receipt, "leaves-before-consume", ("upload",)),
    (upload_after_a_payment_that_failed, "leaves-before-consume", ("upload",)),
    (mail_the_metrics, "leaves-before-consume", ("mail",)),
    (import_a_checkpoint, "leaves-before-consume", ("importer",)),
    (forget_to_pay_for_training, "leaves-before-consume", ("dp-train",)),
    (export_the_reviews, "leaves-before-consume", ("export",)),
    (preview_the_workspace, "leaves-before-consume", ("preview",)),
    (preview_the_workspace_of_the_graph, "leaves-before-consume", ("preview",)),
    (preview_the_workspace_of_the_command, "leaves-before-consume", ("preview",)),
    (return_the_reviews, "leaves-before-consume", ("dp-preprocess",)),
    (download_without_grant, "data-without-grant", ("download",)),
    (show_metrics, "exact-metric", ("dp-evaluate",)),
    (return_the_loss, "exact-metric", ("dp-train",)),
    (run_latest, "mutable-image", ("consume",)),
    (run_a_short_digest, "mutable-image", ("upload",)),
    (without_exit_task, "no-exit-task", ("allocate",)),
    (mount_a_volume_of_all_runs, "shared-volume", ("dp-train",)),
    (mount_a_volume_that_the_user_names, "shared-volume", ("download",)),
    (work_in_a_volume_that_stays, "shared-volume", ("download", "dp-preprocess", "dp-train", "dp-evaluate")),
    (train_with_the_keys_of_the_bucket, "needless-secret", ("dp-train",)),
    (evaluate_with_a_mounted_key, "needless-secret", ("dp-evaluate",)),
    (claim_outside_the_exit_handler, "no-exit-task", ("allocate",)),
]


def test_the_shipped_pipeline_breaks_no_rule(shipped: Document) -> None:
    assert found(shipped) == set()


@pytest.mark.parametrize(("break_it", "rule", "steps"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_pipeline_breaks_one_rule(
    break_it: Callable[[Document], None], rule: str, steps: tuple[str, ...], shipped: Document
) -> None:
    intact = copy.deepcopy(shipped)
    break_it(shipped)
    assert shipped != intact
    assert found(shipped) == {(rule, step) for step in steps}


def test_every_rule_has_a_broken_pipeline_and_a_section() -> None:
    assert {rule for _, rule, _ in BROKEN} == set(rules.RULES)
    text = (ROOT / rules.PAGE).read_text()
    assert [name for name in rules.RULES if f"\n## {name}\n" not in text] == []
    assert [role for role in roles.Role if f"| `{role}` |" not in text] == []


def test_the_roles_of_the_shipped_steps_follow_from_their_interfaces(shipped: Document) -> None:
    pipeline = read(shipped)
    names = {role: {step.name for step in pipeline.steps(role)} for role in roles.Role}
    assert names == {
        roles.Role.CLAIMS: {"allocate"},
        roles.Role.OPENS_DATA: {"download", "dp-preprocess", "dp-train", "dp-evaluate"},
        roles.Role.DRAWS_NOISE: {"dp-preprocess", "dp-train", "dp-evaluate"},
        roles.Role.PAYS: {"consume"},
    }


def state(document: Document, step: str, value: str) -> None:
    """State the roles of a step in its environment, as `set_env_variable` of a task does."""
    container = document["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
    container["env"] = [{"name": "PRIVATEKUBE_ROLES", "value": value}]


def test_a_step_that_states_its_roles_has_these(shipped: Document) -> None:
    guarded(shipped)["upload"] |= {"cachingOptions": CACHED, "retryPolicy": {"maxRetryCount": 3}}
    assert found(shipped) == set()
    state(shipped, "upload", "pays")
    assert found(shipped) == {("cached-step", "upload"), ("blind-retry", "upload")}
    guarded(shipped)["upload"]["cachingOptions"] = {}
    state(shipped, "upload", "none")
    cache_allocate(shipped)
    assert found(shipped) == {("cached-step", "allocate")}
    state(shipped, "allocate", "none")
    assert found(shipped) == set()


def test_a_step_that_does_all_in_one_program_pays_for_itself_and_settles_its_claim(shipped: Document) -> None:
    tasks = {"all": guarded(shipped)["allocate"] | {"inputs": {}}}
    add_step(shipped, "mail", {"counts": ("all", "grant")})
    document = shipped | {"root": {"dag": {"tasks": {**tasks, "mail": guarded(shipped)["mail"]}}}}
    outputs = document["components"]["comp-allocate"]["outputDefinitions"]["artifacts"]
    outputs["counts"] = outputs.pop("grant")
    mail = document["root"]["dag"]["tasks"]["mail"]
    mail["inputs"]["artifacts"]["counts"]["taskOutputArtifact"]["outputArtifactKey"] = "counts"
    state(document, "allocate", "claims, opens-data, draws-noise, pays")
    assert found(document) == set()
    state(document, "allocate", "claims, opens-data, draws-noise")
    assert found(document) == {("leaves-before-consume", "all"), ("no-exit-task", "all")}


def test_data_of_any_type_is_private_once_a_step_that_opens_data_hands_it_on(shipped: Document) -> None:
    for component in shipped["components"].values():
        for definitions in (component.get("inputDefinitions", {}), component.get("outputDefinitions", {})):
            if "dataset" in definitions.get("artifacts", {}):
                definitions["artifacts"]["dataset"]["artifactType"]["schemaTitle"] = "system.Artifact"
    add_step(shipped, "count", {"grant": ("allocate", "grant"), "rows": ("download", "blocks")})
    assert found(shipped) == {("leaves-before-consume", "count")}


@pytest.mark.parametrize(
    ("value", "unknown"), [("pays, publishes", "publishes"), ("", ""), (" ,", ""), ("none, pays", "none")]
)
def test_an_unknown_or_empty_role_is_a_line(shipped: Document, value: str, unknown: str) -> None:
    state(shipped, "upload", value)
    with pytest.raises(errors.InvalidInput, match=rf"^PRIVATEKUBE_ROLES of upload: '{unknown}' is not a role .*; \w"):
        found(shipped)


def test_a_spend_may_reach_the_step_that_pays_through_another_step(shipped: Document) -> None:
    drop_input(shipped, "consume", "spend_training", "dp-train")
    add_step(shipped, "collect", {"first": ("dp-train", "spend")})
    shipped["components"]["comp-collect"]["outputDefinitions"] = {"artifacts": {"spends": ARTIFACT}}
    source = {"taskOutputArtifact": {"producerTask": "collect", "outputArtifactKey": "spends"}}
    guarded(shipped)["consume"]["inputs"]["artifacts"]["spends"] = source
    assert found(shipped) == set()
