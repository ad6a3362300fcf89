"""What is inside an image, as a CycloneDX document: by syft where that is installed, else as Python and dpkg say."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.images import component_yaml
from privatekube.images.engine import Engine

PYTHON = """
import json, subprocess
from importlib import metadata
found = sorted({("pypi", each.metadata["Name"], each.version) for each in metadata.distributions()})
try:
    form = "${Package} ${Version}\\n"
    listed = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
except (OSError, subprocess.CalledProcessError):
    listed = ""
found += [("deb/debian", *line.split()) for line in listed.splitlines()]
print(json.dumps(found))
"""
"""Runs inside the image, with its own Python."""


def write(engine: Engine, name: str, reference: str, folder: Path) -> Path:
    """Write the inventory of an image to `folder`, and return the file.

    Raises:
        InvalidInput: it cannot be written.
    """
    text = _by_syft(engine, reference) if shutil.which("syft") else _by_python(engine, name, reference)
    path = folder / f"{name}.cdx.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.invalid("--sbom", str(folder), f"cannot be made ({error.strerror})", "name a folder") from error
    component_yaml.write(path, text)
    return path


def _by_syft(engine: Engine, reference: str) -> str:
    place = f"{engine.name.lower()}:{reference}"
    done = subprocess.run(  # noqa: S603 - the reference is our own
        ["syft", "scan", place, "-o", "cyclonedx-json"],  # noqa: S607 - whatever syft is first on the path
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise errors.Temporary(f"syft: ended with {done.returncode} for {reference}; run it by hand to see why")
    return done.stdout


def _by_python(engine: Engine, name: str, reference: str) -> str:
    found = json.loads(engine.run(reference, ["python3", "-c", PYTHON]))
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": reference}},
        "components": [
            {"type": "library", "name": package, "version": version, "purl": f"pkg:{kind}/{package}@{version}"}
            for kind, package, version in found
        ],
    }
    return json.dumps(document, indent=1) + "\n"
