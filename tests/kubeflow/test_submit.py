"""Submitting a run: the request that is sent, and a one-line error if it fails."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler

from pipelines import dp_lstm
from privatekube import config, errors
from privatekube.kubeflow import submit
from privatekube.kubeflow.step_components import StepComponents
from tests.e2e.conftest import ROOT, Laptop


class Api(http.server.ThreadingHTTPServer):
    """Answers the calls of a submission as the API of Kubeflow Pipelines does, and records them."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._answer({"multi_user": False})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/runs"):
            self.server.runs.append(body)
            self.server.tokens.append(self.headers.get("Authorization"))
        self._answer({"run_id": "run-7", "display_name": body["display_name"], "state": "PENDING"})

    def _answer(self, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_submission_carries_the_pipeline_its_arguments_and_the_token(api: Api, tmp_path: Path) -> None:
    package = tmp_path / "p.yaml"
    compiler.Compiler().compile(dp_lstm.build(StepComponents.of_project(ROOT, dp_lstm.STEPS).folders), str(package))
    host = f"http://127.0.0.1:{api.server_port}"
    secrets = config.ClusterSecrets.model_validate({"host": host, "existing_token": "sesame"})
    arguments = config.RunArguments(epsilon=2.5, prefix="gs://bucket/runs").model_dump()
    assert submit.create_run(package, arguments, secrets) == f"{host}/#/runs/details/run-7"
    (sent,) = api.runs
    parameters = sent["runtime_config"]["parameters"]
    assert (parameters["epsilon"], parameters["prefix"], parameters["n_blocks"]) == (2.5, "gs://bucket/runs", "all")
    assert parameters.keys() == config.RunArguments.model_fields.keys()
    assert sent["pipeline_spec"]["pipelineInfo"]["name"] == "dp-lstm"
    assert api.tokens == ["Bearer sesame"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_host_that_does_not_answer_is_named(tmp_path: Path) -> None:
    package = tmp_path / "p.yaml"
    compiler.Compiler().compile(dp_lstm.build(StepComponents.of_project(ROOT, dp_lstm.STEPS).folders), str(package))
    secrets = config.ClusterSecrets.model_validate({"host": "http://127.0.0.1:9", "existing_token": "sesame"})
    with pytest.raises(errors.Temporary, match=r"host: http://127.0.0.1:9 cannot be reached") as refusal:
        submit.create_run(package, {}, secrets)
    assert "sesame" not in str(refusal.value)


def test_an_iap_client_is_passed_without_a_token_and_a_token_without_a_client() -> None:
    iap = {"host": "https://h", "client_id": "c", "other_client_id": "o", "other_client_secret": "s"}
    secrets = config.ClusterSecrets.model_validate(iap)
    assert submit.credentials(secrets) == {"client_id": "c", "other_client_id": "o", "other_client_secret": "s"}
    both = config.ClusterSecrets.model_validate(iap | {"existing_token": "t"})
    assert submit.credentials(both) == {"existing_token": "t"}


def test_the_presence_of_secrets_selects_the_cluster_and_unbuilt_images_are_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "client_secrets.example.yaml", tmp_path / "client_secrets.yaml")
    line = Laptop(tmp_path).run("run_pipeline.py", "--arguments", str(ROOT / "arguments.yaml"), status=2)
    assert "names no digest" in line
    assert len(line.splitlines()) == 1


def test_compiling_alone_needs_neither_cluster_nor_blocks(tmp_path: Path) -> None:
    options = ("--arguments", str(ROOT / "arguments.yaml"), "--compile-only", "p.yaml")
    Laptop(tmp_path).run("run_pipeline.py", *options)
    assert yaml.safe_load((tmp_path / "p.yaml").read_text())["pipelineInfo"]["name"] == "dp-lstm"
