"""The documents are true: links lead somewhere, pictures are fresh, every policy and command is explained."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import typer

import demo_blocks
import privatekube
import run_pipeline
from privatekube.cli import app as cli
from privatekube.controller.kueue import __main__ as kueue
from privatekube.kubeflow import cluster_file
from privatekube.kubeflow.sign_in import kinds
from privatekube.scheduling import ordering

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("*.md"), ROOT / "tests" / "README.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


NAMED_PATH = re.compile(
    r"(?:privatekube|tests|components|pipelines|blocks|benchmarks|manifests|tools|docs|examples)/[\w./-]*"
)
"""A path of this repository, from its root; one with a placeholder such as `<name>` is not a whole match."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_the_paths_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text()
    words = [word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()]
    paths = [word for word in words if NAMED_PATH.fullmatch(word)]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    scripts = re.findall(
        r"^(?:\$ )?(?:python |kubectl apply -k )?([\w-]+/[\w./-]+\.(?:py|sh)|\w+\.py)\b", text, re.MULTILINE
    )
    assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_every_policy_is_explained() -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text()
    for name in (*ordering.ORDERINGS, "all", "n=100", "t=10s,30d"):
        assert f"| `{name}` |" in text


def test_every_option_of_creating_blocks_is_explained() -> None:
    text = (ROOT / "docs" / "data.md").read_text()
    options = typer.main.get_command(demo_blocks.app).commands["create"].params  # type: ignore[attr-defined]  # a group
    names = [name for option in options for name in option.opts]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"`{name}[` ]", text)] == []


@pytest.mark.parametrize("command", ["serve", "serve-cluster"])
def test_every_option_of_the_page_is_explained(command: str) -> None:
    text = (ROOT / "docs" / "page.md").read_text()
    options = typer.main.get_command(cli.app).commands[command].params  # type: ignore[attr-defined]  # a group
    names = [name for option in options for name in option.opts if name != "--help"]
    assert len(names) > 3
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_option_of_running_and_every_way_to_sign_in_is_explained() -> None:
    text = (ROOT / "docs" / "kubeflow.md").read_text()
    names = [
        name
        for option in typer.main.get_command(run_pipeline.app).params
        for name in (*option.opts, *option.secondary_opts)
        if name != "--help"
    ]
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"`{name}[` ]", text)] == []
    example = (ROOT / "client_secrets.example.yaml").read_text()
    for model in typing.get_args(typing.get_args(kinds.SignIn)[0]):
        (kind,) = typing.get_args(model.model_fields["kind"].annotation)
        assert f"| `{kind}` |" in text
        assert f"kind: {kind}\n" in example
        assert [name for name in model.model_fields if f" {name}: " not in example and not name.endswith("_url")] == []
    for name in cluster_file.ClusterFile.model_fields.keys() - {"folder"}:
        assert f"{name}:" in example


def test_every_option_of_admission_by_kueue_is_explained() -> None:
    text = (ROOT / "docs" / "kueue.md").read_text()
    options = typer.main.get_command(kueue.app).params
    names = [name for option in options for name in (*option.opts, *option.secondary_opts) if name != "--help"]
    assert len(names) > 5
    assert [name for name in names if not re.search(rf"`{name}[` ]", text)] == []


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["scheduling", "utility"])
def test_a_picture_is_what_its_script_draws(picture: str, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.svg"
    subprocess.run([sys.executable, ROOT / "benchmarks" / f"{picture}_picture.py", drawn], check=True, cwd=tmp_path)
    assert drawn.read_text() == (ROOT / "docs" / f"{picture}.svg").read_text()


def test_the_picture_of_the_architecture_is_what_the_import_contracts_say() -> None:
    script = ROOT / "tools" / "docs" / "architecture.py"
    done = subprocess.run([sys.executable, script, "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_home_page_names_every_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md"]
    assert [name for name in pages if f"]({name})" not in text] == []


def test_every_folder_of_tests_is_described() -> None:
    text = (ROOT / "tests" / "README.md").read_text()
    folders = [path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [name for name in folders if f"| `{name}` |" not in text] == []


def test_a_decision_starts_with_the_number_in_its_file_name_and_no_other_has_it() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [decision.name[:4] for decision in decisions]
    assert numbers == sorted(set(numbers))
    for decision in decisions:
        text = decision.read_text()
        assert re.match(r"# \d{4} ", text), decision.name
        assert decision.name.startswith(text[2:6]), decision.name


@pytest.mark.slow
@pytest.mark.timeout(900)  # it builds the site several times
def test_the_site_builds_and_a_broken_link_fails(tmp_path: Path) -> None:
    def build(folder: Path) -> subprocess.CompletedProcess[str]:
        configuration = (ROOT / "mkdocs.yml").read_text()
        for name in ("docs_dir: docs", "site_dir: build/site"):
            key, _, place = name.partition(": ")
            configuration = configuration.replace(name, f"{key}: {folder / place}")
        configuration = configuration.replace("tools/docs/", f"{ROOT}/tools/docs/").replace("[.]", f"[{ROOT}]")
        (folder / "mkdocs.yml").write_text(configuration)
        command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(folder / "mkdocs.yml")]
        environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)

    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    for page in ("index.html", "decisions/0001-the-whole-grant-is-committed.html", "api/privatekube.privacy.html"):
        assert (tmp_path / "build" / "site" / page).exists()
    reference = (tmp_path / "build" / "site" / "api" / "index.html").read_text()
    for name in privatekube.__all__:
        assert name.startswith("_") or re.search(
            rf'<a [^>]*href="[^"]+\.{name}"[^>]*><code>{name}</code>', reference
        ), name
    assert "https://fonts" not in (tmp_path / "build" / "site" / "index.html").read_text()
    home = tmp_path / "docs" / "index.md"
    text = home.read_text()
    for target in ("nowhere.md", "../nowhere/README.md", "privacy.md#nowhere"):
        home.write_text(f"{text}\n[broken]({target})\n")
        assert build(tmp_path).returncode != 0, target
