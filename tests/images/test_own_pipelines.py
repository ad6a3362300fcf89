"""Pipelines of one's own run in their images: an example, and the project that `privatekube init` writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.images import servers
from tests.images.conftest import ROOT, BuildHost, ContainerLaptop, checkout
from tests.install.conftest import uv

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]  # a base that is not in the cache takes minutes
STANDARD = ("allocate", "download", "consume", "upload", "release")


def test_an_example_runs_in_images_that_the_project_builds(clean_build_host: BuildHost, tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    host = BuildHost(checkout(tmp_path / "checkout"), clean_build_host.engine, clean_build_host.registry)
    example = host.folder / "examples" / "statistics_opendp"
    folders = [*(host.folder / "components" / step for step in STANDARD), example / "count_visits"]
    for folder in folders:
        host.build(str(folder), "--single", "--no-push", "--base-image", servers.BASE_IMAGE)
    laptop = ContainerLaptop(tmp_path, host)
    laptop.run("examples/statistics_opendp/make_table.py")
    laptop.run("privatekube", "blocks", "create", "--source", "visits.csv", "--schema", str(example / "schema.yaml"))
    written = laptop.run("examples/statistics_opendp/pipeline.py", "--runner", "docker")
    assert "release: run ended SUCCEEDED" in written
    published = tmp_path / "out" / "latest"
    assert sum(json.loads((published / "visits.json").read_text()).values()) == pytest.approx(18_500, abs=600)
    images = json.loads((published / "privacy-card.json").read_text())["run"]["software"]["versions"]
    assert images["python"] == "3.11.2"  # the image's, not this machine's
    servers.remove("count-visits")


def test_the_image_of_the_project_that_init_writes_runs_its_pipeline(
    clean_build_host: BuildHost, tmp_path: Path
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PRIVATEKUBE_")},
        **servers.SETTINGS,
        "DOCKER_HOST": clean_build_host.engine,
        "PYTHONPATH": str(ROOT),
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path / "counts",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stderr

    (tmp_path / "counts").mkdir()
    run("-m", "privatekube.cli", "init", ".")
    component = tmp_path / "counts" / "count_columns"
    uv("build", "--quiet", "--wheel", "--out-dir", str(component))
    image = "localhost/privatekube/count-columns:test"
    servers.podman("build", "--build-arg", f"BASE_IMAGE={servers.BASE_IMAGE}", "--tag", image, str(component))
    interface = component / "component.yaml"
    interface.write_text(interface.read_text().replace("image: example/count-columns", f"image: {image}"))
    run("-m", "privatekube.cli", "blocks", "create", "--source", "visits.csv", "--schema", "schema.yaml")
    run("pipeline.py", "--runner", "docker")
    (published,) = (tmp_path / "counts" / "out").iterdir()
    assert set(json.loads((published / "counts.json").read_text())) == {"ward", "outcome"}
    assert json.loads((published / "receipt.json").read_text())["epsilon"] == pytest.approx(0.5)
    servers.remove("count-columns")
