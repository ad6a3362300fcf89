"""List the packages in an image as a CycloneDX document: by syft if it is installed, else by Python and dpkg."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.images.engine import Engine
from privatekube.storage import local_files

PYTHON = """
import json, subprocess
from importlib import metadata
packages = sorted({("pypi", package.metadata["Name"], package.version) for package in metadata.distributions()})
try:
    form = "${Package} ${Version}\\n"
    output = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
except (OSError, subprocess.CalledProcessError):
    output = ""
packages += [("deb/debian", *line.split()) for line in output.splitlines()]
print(json.dumps(packages))
"""
"""Runs inside the image, with its own Python."""


def write(engine: Engine, name: str, reference: str, folder: Path) -> Path:
    """Write the inventory of an image to `folder` and return its path.

    Raises:
        InvalidInput: it cannot be written.
    """
    text = _by_syft(engine, reference) if shutil.which("syft") else _by_python(engine, name, reference)
    path = folder / f"{name}.cdx.json"
    local_files.write(path, text.encode(), overwrite=True)
    return path


def _by_syft(engine: Engine, reference: str) -> str:
    source = f"{engine.name.lower()}:{reference}"
    process = subprocess.run(  # noqa: S603 - the reference is our own
        ["syft", "scan", source, "-o", "cyclonedx-json"],  # noqa: S607 - the first syft on the path
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise errors.Temporary(
            f"syft: ended with exit status {process.returncode} for {reference}; run it by hand to see why"
        )
    return process.stdout


def _by_python(engine: Engine, name: str, reference: str) -> str:
    packages = json.loads(engine.run(reference, ["python3", "-c", PYTHON]))
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": reference}},
        "components": [
            {"type": "library", "name": package, "version": version, "purl": f"pkg:{kind}/{package}@{version}"}
            for kind, package, version in packages
        ],
    }
    return json.dumps(document, indent=1) + "\n"
