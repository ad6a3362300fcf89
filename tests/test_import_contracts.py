"""Each import contract of pyproject.toml notices a planted violation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("privatekube", "components", "pipelines", "blocks")
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
VIOLATIONS = {
    "The project imports the library, never the other way round": ("privatekube/data/declare.py", "blocks.record"),
    "The library's layers": ("privatekube/resources/block.py", "privatekube.store.base"),
    "Components don't know each other": ("components/consume/__main__.py", "components.upload.__main__"),
    "Stores don't know each other": ("privatekube/store/memory.py", "privatekube.store.sqlite.store"),
    "Only the components that run the model carry torch; none carries kfp": (
        "components/consume/__main__.py",
        "privatekube.training.models",
    ),
    "Decisions use no store and no I/O": ("privatekube/engine/run_pass.py", "privatekube.store.base"),
    "A pass is decided without a clock, chance or a log": ("privatekube/engine/draft.py", "time"),
    "torch and opacus are imported in training and its integration alone": ("components/dp_train/__main__.py", "torch"),
    "dp_accounting and opendp are imported in privacy and their integrations alone": (
        "privatekube/training/dpsgd.py",
        "dp_accounting",
    ),
    "kfp is imported in kubeflow and in the graphs alone": ("privatekube/images/pins.py", "kfp"),
    "The docker SDK is imported in images alone": ("privatekube/kubeflow/compilation.py", "docker"),
    "pyarrow, tokenizers and safetensors are imported in data alone": ("privatekube/cli/blocks.py", "pyarrow"),
    "Spark is imported in its engine alone": ("privatekube/data/cutting/engines.py", "pyspark"),
    "The driver of S3 is imported in storage alone": ("privatekube/data/declare.py", "boto3"),
    "The web framework and the templates are imported in page alone": ("privatekube/cli/page.py", "starlette"),
    "sqlite3 is imported in its store alone": ("privatekube/store/memory.py", "sqlite3"),
    "The Kubernetes client is imported in its store and in the controller alone": (
        "privatekube/client/cluster.py",
        "kubernetes",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copy2(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_each_contract_has_its_planted_violation() -> None:
    assert list(VIOLATIONS) == CONTRACTS


@pytest.fixture(scope="module")
def broken(copy: Path) -> dict[str, str]:
    """What the linter says of each contract in a copy with all violations: to read the imports takes longest."""
    for file, module in VIOLATIONS.values():
        with (copy / file).open("a") as source:
            source.write(f"\nimport {module}\n")
    program = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run([sys.executable, "-P", "-c", program], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    said = done.stdout.partition("Broken contracts")[2]
    headings = re.split(r"\n([^\n]+)\n-+\n", said)
    return dict(zip(headings[1::2], headings[2::2], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_planted_violation_breaks_the_contract(broken: dict[str, str], contract: str) -> None:
    file, module = VIOLATIONS[contract]
    importer = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    said = " ".join(broken[contract].split())
    assert f"{importer} -> {module} (l." in said or f"{importer} -> {module.partition('.')[0]} (l." in said
