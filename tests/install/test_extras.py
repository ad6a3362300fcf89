"""Each extra is enough for what it is named after; a missing one is one line that names it."""

from __future__ import annotations

import pytest

from privatekube import __version__
from tests.install.conftest import Environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SCENARIO = "tests/samples/scenarios/online-eps-1block-236.json.gz"
NOISE = """
from privatekube.privacy import mechanisms
released = mechanisms.noisy_histogram({"a": 100}, ["a", "b"], scale=2.0, sensitivity=1)
assert set(released.value) == {"a", "b"}
"""
BLOCK_FILE = "from privatekube.data import block_file, columns; assert len(columns.Reviews.concatenate([])) == 0"
TABLE = """
from pathlib import Path
Path("t.csv").write_text("patient,age\\nanna,30\\n")
Path("s.yaml").write_text(
    "{dataset: visits, user: patient, unit: user, days: {first: 2024-01-01, last: 2024-12-31}, "
    "features: {age: {type: integer, range: [0, 120]}}}"
)
"""
DRIVER = "import privatekube.storage.{}_bucket"
PAGE = "from privatekube.page import rendering, server; rendering.environment().get_template('overview.html')"
TRAINING = "import components.dp_train.__main__, components.dp_evaluate.__main__, opacus"

VECTORS = """
from privatekube.data import word_vectors as vectors
words, digest = {"guitar": 1, "song": 2}, vectors.BUNDLED_DIGEST
assert vectors.load("bundled", words=words, vocab_size=3, declared=digest).rows[1:].any(axis=1).all()
"""

ENOUGH = {
    "images": [("python", "build_components.py", "--help")],
    "pipeline": [("python", "run_pipeline.py", "--compile-only", "dp_lstm.yaml")],
    "blocks": [("python", "demo_blocks.py", "create", "--days", "1"), ("python", "demo_blocks.py", "list")],
    "scheduling": [("privatekube", "simulate", SCENARIO), ("privatekube", "get", "blocks")],
    "accounting": [("python", "-c", "from privatekube.privacy import accounting")],
    "privacy": [("python", "-c", NOISE)],
    "data": [("python", "-c", BLOCK_FILE)],
    "tables": [("python", "-c", TABLE), ("privatekube", "blocks", "create", "--source", "t.csv", "--schema", "s.yaml")],
    "gcs": [("python", "-c", DRIVER.format("google"))],
    "s3": [("python", "-c", DRIVER.format("amazon"))],
    "control": [
        ("python", "-m", f"components.{step}", "--help")
        for step in ("allocate", "download", "consume", "upload", "release")
    ],
    "control,privacy": [("python", "-m", "components.dp_preprocess", "--help")],
    "controller": [("python", "-m", "privatekube.controller", "--help")],
    "training": [("python", "-c", TRAINING)],
    "vectors": [("python", "-c", VECTORS)],
    "page": [("python", "-c", PAGE)],
}


@pytest.mark.parametrize(("environment", "commands"), ENOUGH.items(), indirect=["environment"], ids=ENOUGH)
def test_an_extra_is_enough_for_what_it_is_named_after(
    environment: Environment, commands: list[tuple[str, ...]]
) -> None:
    for command in commands:
        done = environment.run(*command)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("environment", [""], indirect=True, ids=["none"])
def test_without_an_extra_version_and_help_work_and_the_rest_names_what_is_missing(environment: Environment) -> None:
    assert environment.run("privatekube", "--version").stdout.strip() == __version__
    assert "Usage" in environment.run("privatekube", "--help").stdout
    for command, extra in (
        (("privatekube", "simulate", SCENARIO), "scheduling"),
        (("python", "demo_blocks.py", "create", "--days", "1"), "blocks"),
        (("python", "run_pipeline.py", "--compile-only", "dp_lstm.yaml"), "pipeline"),
        (("python", "build_components.py", "--no-push"), "images"),
    ):
        done = environment.run(*command)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert f"privatekube[{extra}]" in done.stderr
    done = environment.run("privatekube", "get", "blocks", PRIVATEKUBE_STORE="kubernetes")
    assert "privatekube[cluster]" in done.stderr


@pytest.mark.parametrize("environment", ["cluster"], indirect=True)
def test_the_extra_for_a_cluster_is_enough_to_look_for_one(environment: Environment) -> None:
    done = environment.run("privatekube", "get", "blocks", PRIVATEKUBE_STORE="kubernetes://nowhere", KUBECONFIG="none")
    assert done.returncode == 2
    assert "privatekube[" not in done.stderr
    assert "nowhere" in done.stderr or "kubeconfig" in done.stderr
