#!/usr/bin/env python3
"""Pack a static program as an image: `image.py OUT.tar NAME:TAG PROGRAM` writes a docker-archive with one layer."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def main() -> None:
    """Write the archive; the program is its entry point and runs as an unprivileged user."""
    out, name, program = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
    }
    config_json = json.dumps(config).encode()
    config_name, layer_name = f"{_digest(config_json)}.json", f"{_digest(layer)}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    files = {
        config_name: config_json,
        layer_name: layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    out.write_bytes(_tar(files, mode=0o644))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    """Return a reproducible archive of the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


if __name__ == "__main__":
    main()
