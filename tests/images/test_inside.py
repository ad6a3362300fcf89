"""The contents of the images, inspected in the images themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
import yaml

from privatekube.images import registry
from tests.images import servers
from tests.images.conftest import ROOT, BuildHost
from tests.images.test_build import COMPONENTS, image_of

pytestmark = pytest.mark.containers
TRAINING = ("dp_train", "dp_evaluate")
CONTROL = tuple(name for name in COMPONENTS if name not in TRAINING)
MOST_CONTROL_MB = 250
"""Of a control image: what a registry stores, and what it unpacks to, above the base."""
LOADED_WHEN_USED = {"boto3", "botocore", "google", "kubernetes", "pandas", "pyarrow", "requests", "sklearn", "sqlite3"}
"""Packages that take long to load and that not each run of each component needs."""
PINNED = r"""
import importlib.metadata
from packaging.requirements import Requirement
lines = [line.rstrip(" \\\n") for line in open("/opt/privatekube/requirements.txt") if line[0].isalpha()]
pinned = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
print(len(pinned))
for pin in pinned:
    version = importlib.metadata.version(pin.name)
    if version not in pin.specifier:
        print(pin, "is", version)
"""
"""Prints how many packages a training image should have, and those that it has in another version."""
SCRATCH = "/tmp"  # noqa: S108 - inside the container


def run(image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    return servers.podman("run", "--rm", *options, image, *command)


def is_importable(image: str, module: str) -> bool:
    """Return whether Python finds a module in an image, without importing it."""
    program = f"import importlib.util as u; print(u.find_spec({module!r}) is not None)"
    return run(image, "python3", "-c", program).strip() == "True"


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_runs_as_an_unprivileged_user_on_a_read_only_root(build_host: BuildHost, component: str) -> None:
    image = image_of(build_host, component)
    options = ("--read-only", "--read-only-tmpfs=false", f"--tmpfs={SCRATCH}", "--cap-drop", "all", "--network", "none")
    assert "Arguments" in run(image, "python3", "-m", f"components.{component}", "--help", options=options)
    assert run(image, "id", "-u").strip() == "1000"
    described = json.loads(servers.podman("image", "inspect", image))[0]
    assert not described["Config"].get("Entrypoint")
    assert described["Config"]["User"] == "1000:1000"
    labels = described["Labels"]
    assert labels["org.opencontainers.image.title"] == f"privatekube {component}"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.version"][0].isdigit()


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_holds_nothing_it_should_not(build_host: BuildHost, component: str) -> None:
    image = image_of(build_host, component)
    for module in ("grpc", "kfp", "pip", "pytest", *(() if component in TRAINING else ("torch", "opacus"))):
        assert not is_importable(image, module), module
    search = "find / -xdev ( -name .git -o -name *secrets*.yaml -o -name *.key -o -name .cache ) -print"
    paths = run(image, *search.split(), options=("--user=0",)).splitlines()
    assert [path for path in paths if not path.startswith(("/usr/", "/proc/", "/sys/"))] == []
    assert run(image, "sh", "-c", "command -v gcc cc g++ make pip || true") == ""
    others = set(run(image, "ls", "/app/components").split()) - {"__init__.py", "__pycache__", component}
    assert others == set()


def test_a_control_image_is_small_and_the_training_image_has_the_size_that_the_documents_state(
    build_host: BuildHost,
) -> None:
    base = json.loads(servers.podman("image", "inspect", servers.BASE_IMAGE))[0]["Size"]
    for component in CONTROL:
        assert packed_mb(build_host, component) < MOST_CONTROL_MB
        image = image_of(build_host, component)
        unpacked = (json.loads(servers.podman("image", "inspect", image))[0]["Size"] - base) / 1e6
        assert unpacked < MOST_CONTROL_MB + (300 if component == "dp_preprocess" else 0)
    assert 2500 < packed_mb(build_host, "dp_train") < 3500
    assert "3.0 GB" in " ".join((ROOT / "docs" / "images.md").read_text().split())


def packed_mb(build_host: BuildHost, component: str) -> float:
    """Return the size above the base as the registry stores it and a node pulls it, in MB."""
    repository, _, digest = image_of(build_host, component).partition("@")
    url = f"http://{build_host.registry}/v2/{repository.partition('/')[2]}/manifests/{digest}"
    manifest = requests.get(url, headers={"Accept": registry.MANIFESTS}, timeout=10).json()
    return float(sum(layer["size"] for layer in manifest["layers"][1:]) / 1e6)


@pytest.mark.parametrize("component", CONTROL)
def test_a_control_component_starts_without_what_it_may_not_need(build_host: BuildHost, component: str) -> None:
    program = (
        "import json, runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try:\n"
        "    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    command = ("python3", "-c", program, f"components.{component}", "--help")
    shown = run(image_of(build_host, component), *command, options=("--read-only",))
    assert LOADED_WHEN_USED.isdisjoint(json.loads(shown.splitlines()[-1]))


def test_a_training_image_has_all_packages_that_are_pinned_for_this_machine(build_host: BuildHost) -> None:
    n_pinned, *others = run(image_of(build_host, "dp_train"), "python3", "-c", PINNED).splitlines()
    assert others == []
    assert int(n_pinned) > 80


def test_the_training_image_trains(build_host: BuildHost) -> None:
    program = "import torch, opacus; print((torch.ones(2, 2) @ torch.ones(2, 2)).sum().item())"
    assert run(image_of(build_host, "dp_train"), "python3", "-c", program, options=("--read-only",)).strip() == "8.0"


def test_the_lock_names_the_base_that_each_image_stands_on(build_host: BuildHost) -> None:
    entries = yaml.safe_load((build_host.folder / "images.lock.yaml").read_text())["images"]
    layers = {
        entry["name"]: json.loads(servers.podman("image", "inspect", f"{entry['repository']}:{entry['tag']}"))[0][
            "RootFS"
        ]
        for entry in entries
    }
    for entry in entries:
        if not entry["name"].endswith("-base"):
            base = layers[entry["base"].rpartition("/")[2].partition(":")[0]]["Layers"]
            assert layers[entry["name"]]["Layers"][: len(base)] == base


def test_a_secret_beside_the_sources_stays_outside(build_host: BuildHost, tmp_path: Path) -> None:
    folder = tmp_path / "leaky"
    folder.mkdir()
    (folder / "component.yaml").write_text("name: l\nimplementation: {container: {image: leaky}}\n")
    (folder / "Dockerfile").write_text(f"ARG BASE_IMAGE={servers.BASE_IMAGE}\nFROM ${{BASE_IMAGE}}\nCOPY . /app/\n")
    (folder / "client_secrets.yaml").write_text("existing_token: sesame\n")
    (folder / "program.py").write_text("")
    build_host.build(str(folder), "--single", "--no-push")
    entries = yaml.safe_load((folder / "images.lock.yaml").read_text())["images"]
    (image,) = [f"{entry['repository']}:{entry['tag']}" for entry in entries]
    assert sorted(run(image, "ls", "/app").split()) == ["Dockerfile", "component.yaml", "program.py"]
