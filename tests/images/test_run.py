"""The pipeline on the real images: --runner docker, with the SQLite store in a mounted folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Laptop, committed
from tests.images import servers
from tests.images.conftest import ROOT, BuildHost, ContainerLaptop
from tests.images.test_build import image_of

pytestmark = pytest.mark.containers
FAILING = """
import sys
print("error: metrics: a file that the component reads is missing; add it", file=sys.stderr)
sys.exit(3)
"""


def containers() -> list[str]:
    return servers.podman("ps", "--all", "--format", "{{.Names}}").split()


def test_it_publishes_pays_and_leaves_no_container(laptop: ContainerLaptop) -> None:
    before = containers()
    written = laptop.pipeline_in_containers()
    assert "release: run ended SUCCEEDED" in written
    published = laptop.folder / "out" / "latest"
    assert {path.name for path in published.iterdir()} == {
        *("statistics.json", "model.pt", "metrics.json", "receipt.json", "privacy-card.md", "privacy-card.json"),
        "report.html",
    }
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    assert "python 3.11.2," in (published / "privacy-card.md").read_text()  # the image's, not this machine's
    assert containers() == before


def test_a_component_that_exits_3_fails_the_run_and_the_exit_task_runs(
    laptop: ContainerLaptop, build_host: BuildHost
) -> None:
    replacement = laptop.folder / "failing"
    replacement.mkdir()
    text = (ROOT / "components" / "dp_evaluate" / "component.yaml").read_text()
    (replacement / "component.yaml").write_text(
        text.replace("components.dp_evaluate", "failing").replace("privatekube/dp-evaluate", "failing")
    )
    (replacement / "Dockerfile").write_text(
        "ARG BASE_IMAGE=privatekube/control-base\nFROM ${BASE_IMAGE}\nCOPY *.py /app/failing/\n"
    )
    (replacement / "__main__.py").write_text(FAILING)
    build_host.build(str(replacement), "--single", "--no-push", "--base-image", servers.BASE_IMAGE)
    written = laptop.pipeline_in_containers(options=("--component", f"dp_evaluate={replacement}"), status=3)
    assert written.splitlines()[-1].startswith("error: dp_evaluate: metrics: a file")
    assert "release: run ended FAILED" in written
    assert not (laptop.folder / "out" / "latest").exists()
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])  # it was opened


def test_unavailable_budget_ends_with_3_and_charges_nothing(laptop: ContainerLaptop) -> None:
    written = laptop.pipeline_in_containers("epsilon=11", status=3)
    assert written.splitlines()[-1].startswith("error: allocate:")
    assert "release: run ended FAILED" in written
    assert [committed(block) for block in laptop.blocks().values()] == [0, 0]


def test_ctrl_c_settles_the_claim_and_leaves_no_container(laptop: ContainerLaptop) -> None:
    before = containers()
    laptop.interrupt_pipeline()
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    assert containers() == before


def test_a_missing_image_is_pulled_by_its_digest(laptop: ContainerLaptop, build_host: BuildHost) -> None:
    image = image_of(build_host, "release")
    (identity,) = {each["Id"] for each in json.loads(servers.podman("image", "inspect", image))}
    servers.podman("rmi", "--force", identity)
    laptop.pipeline_in_containers()
    assert servers.podman("image", "inspect", "--format", "{{.Id}}", image).strip() == identity.removeprefix("sha256:")


def test_an_engine_that_does_not_answer_is_found_before_anything_is_claimed(
    build_host: BuildHost, tmp_path: Path
) -> None:
    laptop = ContainerLaptop(tmp_path, BuildHost(build_host.folder, "unix:///nowhere.sock", build_host.registry))
    laptop.run("demo_blocks.py", "create", "--days", "1")
    written = laptop.pipeline_in_containers(status=2)
    assert written.splitlines() == [
        "error: engine: unix:///nowhere.sock does not exist; start Docker, or `podman system service`, "
        "or name a socket in DOCKER_HOST"
    ]
    assert laptop.claims() == {}


def test_images_as_shipped_are_refused_with_the_command_that_builds_them(tmp_path: Path) -> None:
    options = ("--local", "--runner", "docker", "--arguments", str(ROOT / "arguments.yaml"))
    written = Laptop(tmp_path).run("run_pipeline.py", *options, status=2)
    assert len(written.splitlines()) == 1
    assert "build it: python build_components.py --no-push" in written


def test_another_component_takes_the_place_of_a_step(laptop: ContainerLaptop, build_host: BuildHost) -> None:
    example = build_host.folder / "examples" / "my_component"
    shipped = (example / "component.yaml").read_text()
    try:
        options = ("--registry", build_host.repository, "--base-image", servers.BASE_IMAGE)
        assert " built " in build_host.build("examples/my_component", *options)
        assert f"{build_host.repository}/my-component@sha256:" in (example / "component.yaml").read_text()
        laptop.pipeline_in_containers(options=("--component", f"dp_evaluate={example}"))
    finally:
        (example / "component.yaml").write_text(shipped)
        (example / "images.lock.yaml").unlink()
    metrics = json.loads((laptop.folder / "out" / "latest" / "metrics.json").read_text())
    assert "per_class" not in metrics
    assert 0 <= metrics["accuracy"]["low"] <= metrics["accuracy"]["high"] <= 1
    receipt = json.loads((laptop.folder / "out" / "latest" / "receipt.json").read_text())
    assert receipt["epsilon"] <= 1.0 * (1 + 1e-9)
