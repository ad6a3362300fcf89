"""The ingredients of an image: the files that its Dockerfile copies, and a tag that depends on them only."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path

import pytest
import yaml

from privatekube import errors
from privatekube.images import component_yaml, context, dockerfile, lock, recipe, registry

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = sorted(ROOT.glob("components/**/requirements.txt"))
OF_MANIFESTS = sorted(ROOT.glob("manifests/*/*requirements.txt"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A component with a file that its Dockerfile copies, and one that it does not."""
    (tmp_path / "Dockerfile").write_text(
        "ARG BASE_IMAGE=me/x\nFROM ${BASE_IMAGE}\nCOPY --chown=1 *.py \\\n  data /app/\n"
    )
    (tmp_path / "component.yaml").write_text("implementation: {container: {image: team/thing:v1}}\n")
    (tmp_path / "program.py").write_text("pass\n")
    (tmp_path / "notes.txt").write_text("no part of it\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words").write_text("a b\n")
    return tmp_path


def test_only_what_the_dockerfile_copies_is_sent(folder: Path) -> None:
    for name in ("client_secrets.yaml", "x.pyc", "own.txt"):
        (folder / "data" / name).write_text("")
    (folder / ".dockerignore").write_text("# ours\ndata/own*\n")
    with tarfile.open(fileobj=context.collect(folder, folder).archive()) as tar:
        assert tar.getnames() == ["Dockerfile", "data/words", "program.py"]


def test_a_link_is_not_followed_out_of_the_context(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("sesame")
    (folder / "data" / "link").symlink_to(outside)
    assert Path("data/link") not in context.collect(folder, folder).files


def test_the_tag_follows_from_content_base_and_arguments_and_from_nothing_else(folder: Path) -> None:
    first = recipe.component(folder, ROOT).tag("base", {})
    os.utime(folder / "program.py", (0, 0))
    (folder / "notes.txt").write_text("changed\n")
    assert recipe.component(folder, ROOT).tag("base", {}) == first
    others = {recipe.component(folder, ROOT).tag("other", {}), recipe.component(folder, ROOT).tag("base", {"A": "1"})}
    (folder / "program.py").chmod(0o755)
    others.add(recipe.component(folder, ROOT).tag("base", {}))
    (folder / "program.py").write_text("changed\n")
    others.add(recipe.component(folder, ROOT).tag("base", {}))
    assert len(others | {first}) == 5


def test_pinning_keeps_comments_order_and_quotes(folder: Path) -> None:
    above = "# top\nname: 'x'   # odd\nimplementation:\n    container:\n"
    text = f"{above}        image:   'team/a'   # here\n        args: [ 1,2 ]\n"
    (folder / component_yaml.FILE).write_text(text)
    pinned = component_yaml.with_image(folder, "host:5000/team/a@sha256:00")
    assert pinned == text.replace("'team/a'", "host:5000/team/a@sha256:00")
    assert yaml.safe_load(pinned)["implementation"]["container"]["image"] == "host:5000/team/a@sha256:00"


@pytest.mark.parametrize("image", ["&mark team/a", "|\n      team/a", ">-\n      team/a"])
def test_an_image_that_stands_where_it_cannot_be_replaced_is_refused_or_replaced_whole(
    folder: Path, image: str
) -> None:
    (folder / component_yaml.FILE).write_text(f"implementation:\n  container:\n    image: {image}\n    args: [x]\n")
    try:
        pinned = yaml.safe_load(component_yaml.with_image(folder, "r/a@sha256:00"))
    except errors.InvalidInput:
        return
    assert pinned == {"implementation": {"container": {"image": "r/a@sha256:00", "args": ["x"]}}}


def test_a_component_has_its_shared_base_and_a_foreign_one_has_none(folder: Path) -> None:
    assert recipe.component(ROOT / "components" / "dp_train", ROOT).base == "training-base"
    assert recipe.component(ROOT / "components" / "allocate", ROOT).base == "control-base"
    assert recipe.component(folder, ROOT).base is None
    assert recipe.component(folder, ROOT).name == "thing"


def test_a_lock_is_read_as_it_was_written_and_a_broken_one_is_named(tmp_path: Path) -> None:
    entry = lock.Entry("a", "r/a", "12", None, "b", "sha256:00", None, {"TORCH_INDEX": "u"})
    lock.write(tmp_path, [entry])
    assert lock.read(tmp_path) == {"a": entry}
    (tmp_path / lock.FILE).write_text("images: [{name: a}]\n")
    with pytest.raises(errors.InvalidInput, match=r"images\.lock\.yaml: .*repository.*delete it and build again"):
        lock.read(tmp_path)


@pytest.mark.parametrize("name", ["https://x/y", "Host/x", "host/", "host//x", "", "host:port/x"])
def test_a_registry_has_a_form(name: str) -> None:
    with pytest.raises(errors.InvalidInput, match="must be HOST"):
        registry.require_name(name)
    assert registry.require_name("registry.example.org:443/team/a_b") == "registry.example.org:443/team/a_b"


@pytest.mark.parametrize("path", [*REQUIREMENTS, *OF_MANIFESTS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_requirements_are_hashed_and_agree_with_the_constraints(path: Path) -> None:
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().split())
    canonical = {name.replace("_", "-").replace(".", "-"): version for name, version in constraints.items()}
    blocks = re.split(r"\n(?=[a-z0-9])", path.read_text())
    for block in blocks:
        name, version = re.match(r"([a-z0-9-]+)==(\S+)", block).groups()  # type: ignore[union-attr]  # fails if None
        assert "--hash=sha256:" in block
        assert canonical.get(name, version) == version
        if "sys_platform == 'emscripten'" not in block:  # never installed: Python in a browser
            assert name in canonical or name == "setuptools"  # torch and PySpark need it, and every environment has it


def test_every_base_has_requirements_and_the_control_base_no_torch() -> None:
    names = {path.parent.name: path.read_text() for path in REQUIREMENTS}
    assert names.keys() == {"control", "training", "dp_preprocess"}
    assert "\ntorch==" in names["training"]
    for name in ("torch", "nvidia", "opacus", "kfp"):
        assert f"\n{name}" not in names["control"]
    assert "\nkubernetes==" in names["control"]


def test_every_option_of_the_build_command_is_documented() -> None:
    text = (ROOT / "docs" / "images.md").read_text()
    options = re.findall(r'"(--[a-z-]+)(?:/--([a-z-]+))?"', (ROOT / "build_components.py").read_text())
    for option in ("--jobs", "--base-image", "--torch-index", "--sbom", "--no-push", *(names[0] for names in options)):
        assert f"`{option}" in text or option == "--push", option


def test_dockerfiles_copy_from_their_context_only() -> None:
    for path in ROOT.glob("components/**/Dockerfile"):
        read = dockerfile.load(path.parent)
        assert read.base
        assert all(not source.startswith(("/", "..")) for source in read.sources)
