#!/usr/bin/env python3
"""Pack one static program as an image: `image.py OUT.tar NAME:TAG PROGRAM` makes a docker-archive of one layer."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def main() -> None:
    """Write the archive; the program becomes its entry point, run by nobody."""
    out, name, program = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
    }
    packed = json.dumps(config).encode()
    manifest = [{"Config": f"{_digest(packed)}.json", "RepoTags": [name], "Layers": [f"{_digest(layer)}/layer.tar"]}]
    files = {
        f"{_digest(packed)}.json": packed,
        f"{_digest(layer)}/layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    out.write_bytes(_tar(files, mode=0o644))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    """An archive of the files, the same whenever it is made."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


if __name__ == "__main__":
    main()
