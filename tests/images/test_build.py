"""All images, built and pushed from a copy of the checkout to a real registry, and pinned."""

from __future__ import annotations

import difflib
import json
import re
import shutil
from pathlib import Path

import pytest
import requests
import yaml

from privatekube.images import registry
from tests.images import servers
from tests.images.conftest import ROOT, BuildHost, checkout

pytestmark = pytest.mark.containers
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("components/*/component.yaml"))
BASES = ("control-base", "training-base")


def image_of(build_host: BuildHost, component: str) -> str:
    document = yaml.safe_load((build_host.folder / "components" / component / "component.yaml").read_text())
    return str(document["implementation"]["container"]["image"])


def test_every_component_is_pinned_to_the_digest_that_the_registry_has(build_host: BuildHost) -> None:
    lock = {entry["name"]: entry for entry in yaml.safe_load(build_host.texts()["images.lock.yaml"])["images"]}
    assert lock.keys() == {*BASES, *(name.replace("_", "-") for name in COMPONENTS)}
    for component in COMPONENTS:
        entry = lock[component.replace("_", "-")]
        digest = registry.digest(entry["repository"], entry["tag"], {})
        assert digest is not None
        assert image_of(build_host, component) == f"{build_host.repository}/{entry['name']}@{digest}"
        assert entry["digest"] == digest
        assert entry["base_digest"] in {lock[base]["digest"] for base in BASES}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*", entry["source_time"])


def test_pinning_alters_one_line_of_a_component_yaml_and_nothing_of_the_checkout(build_host: BuildHost) -> None:
    for component in COMPONENTS:
        name = f"components/{component}/component.yaml"
        shipped, pinned = (ROOT / name).read_text(), (build_host.folder / name).read_text()
        assert "@" not in yaml.safe_load(shipped)["implementation"]["container"]["image"]
        altered = [line for line in difflib.ndiff(shipped.splitlines(), pinned.splitlines()) if line[0] in "+-"]
        assert [line[:12] for line in altered] == ["-     image:", "+     image:"]
    assert not (ROOT / "images.lock.yaml").exists()


def test_building_again_builds_nothing_and_says_so(build_host: BuildHost) -> None:
    before = build_host.texts()
    lines = build_host.build_all().splitlines()[1:]
    assert len(lines) == len(COMPONENTS) + len(BASES)
    assert all(" unchanged " in line for line in lines)
    assert build_host.texts() == before


def test_check_passes_after_a_build_and_names_what_is_out_of_date(build_host: BuildHost, tmp_path: Path) -> None:
    assert "agree" in build_host.build("--check")
    copy = BuildHost(checkout_of(build_host, tmp_path), build_host.engine, build_host.registry)
    program = copy.folder / "components" / "upload" / "__main__.py"
    program.write_text(program.read_text() + "\n# changed\n")
    shutil.copy(ROOT / "components/release/component.yaml", copy.folder / "components/release/component.yaml")
    lines = copy.build("--check", status=1).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["release", "upload"]
    assert "python build_components.py" in lines[0]
    assert "sources are not those of the image" in lines[1]


def test_only_what_changed_is_built_again(build_host: BuildHost, tmp_path: Path) -> None:
    copy = BuildHost(checkout_of(build_host, tmp_path), build_host.engine, build_host.registry)
    program = copy.folder / "components" / "upload" / "__main__.py"
    program.write_text(program.read_text() + "\n# changed\n")
    lines = copy.build_all().splitlines()[1:]
    assert [line.split()[0] for line in lines if " built " in line] == ["upload"]
    assert "agree" in copy.build("--check")


def test_as_shipped_check_says_which_command_builds(tmp_path: Path) -> None:
    copy = BuildHost(checkout(tmp_path), "", "")
    lines = copy.build("--check", status=1).splitlines()
    assert len(lines) == len(COMPONENTS) + len(BASES)
    assert all(line.endswith("run python build_components.py") for line in lines)


def test_without_a_push_images_are_for_this_machine_and_check_says_they_are_not_pushed(
    build_host: BuildHost, tmp_path: Path
) -> None:
    copy = BuildHost(checkout(tmp_path), build_host.engine, build_host.registry)
    lines = copy.build("--no-push", "--base-image", servers.BASE_IMAGE).splitlines()[1:]
    assert all(" unchanged " in line for line in lines)  # the push built them under the same names
    assert re.fullmatch(r"localhost/privatekube/dp-train:[0-9a-f]{24}", image_of(copy, "dp_train"))
    assert "was built and not pushed" in copy.build("--check", status=1)


def test_each_image_has_an_inventory_of_what_its_requirements_pin(build_host: BuildHost, tmp_path: Path) -> None:
    build_host.build("--registry", build_host.repository, "--base-image", servers.BASE_IMAGE, "--sbom", str(tmp_path))
    assert len(list(tmp_path.iterdir())) == len(COMPONENTS) + len(BASES)
    inventory = json.loads((tmp_path / "dp-preprocess.cdx.json").read_text())
    assert inventory["bomFormat"] == "CycloneDX"
    versions = {package["name"].lower(): package["version"] for package in inventory["components"]}
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    for name in ("opendp", "dp-accounting", "numpy", "h5py"):
        assert versions[name] == constraints[name]
    assert "torch" not in versions
    assert any(package["purl"].startswith("pkg:deb/debian/libc6@") for package in inventory["components"])


def test_what_the_registry_holds_can_be_pulled_by_the_digest(build_host: BuildHost) -> None:
    repository, _, digest = image_of(build_host, "release").partition("@")
    path = repository.partition("/")[2]
    answer = requests.get(
        f"http://{build_host.registry}/v2/{path}/manifests/{digest}", headers={"Accept": registry.MANIFESTS}, timeout=10
    )
    assert answer.json()["schemaVersion"] == 2


def checkout_of(build_host: BuildHost, folder: Path) -> Path:
    """Copy a build host's copy of the checkout."""
    shutil.copytree(build_host.folder, folder / "copy")
    return folder / "copy"
