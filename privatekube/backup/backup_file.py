"""The file of a backup: one line of JSON that says what it is and has the digest of the rest, then the contents.

It holds no key. A reader of it sees all claims and, of the data, hashes under a key that is kept elsewhere. Only its
owner may read it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from privatekube import errors
from privatekube.backup import contents
from privatekube.backup.contents import Contents
from privatekube.resources import ledger
from privatekube.storage import local_files

FORMAT, VERSION = "privatekube-backup", 1
_MODE = 0o600
_REMEDY = "use another backup; nothing was changed"


def write(path: Path, backup: Contents) -> str:
    """Write a backup in one step, and return the digest of its contents.

    Raises:
        AlreadyExists: the file exists.
        InvalidInput: it cannot be written.
    """
    body = json.dumps(contents.to_json(backup), sort_keys=True, separators=(",", ":")).encode()
    stated = digest(body)
    header = json.dumps({"format": FORMAT, "version": VERSION, "digest": stated}).encode()
    local_files.write(path, header + b"\n" + body + b"\n", mode=_MODE)
    return stated


def read(path: Path) -> Contents:
    """Read a backup, and check that it is whole.

    Raises:
        NotFound: the file does not exist.
        InvalidInput: it is not a backup, or one of a newer version.
        CorruptData: it was changed or cut off, or cannot be read.
    """
    try:
        header, _, rest = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise local_files.translation(error, path) from error
    body = rest.removesuffix(b"\n")
    if digest(body) != _stated_digest(path, header):
        raise errors.CorruptData(f"backup: {path} is damaged or not whole: its digest is another one; {_REMEDY}")
    try:
        backup = contents.from_json(json.loads(body))
        for _ in ledger.require_chain(backup.entries):
            pass
    except errors.PrivateKubeError as error:
        raise errors.CorruptData(f"backup: {path} cannot be read ({error}); {_REMEDY}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise errors.CorruptData(f"backup: {path} cannot be read ({type(error).__name__}); {_REMEDY}") from error
    return backup


def _stated_digest(path: Path, header: bytes) -> str:
    try:
        document = json.loads(header)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise errors.invalid("backup", str(path), "is not one of privatekube backup", _REMEDY)
    version = document.get("version")
    if version != VERSION:
        raise errors.invalid("backup", str(path), f"is of version {version}, and {VERSION} is known", _REMEDY)
    return str(document.get("digest"))


def digest(body: bytes) -> str:
    """Return the digest of contents as they are in the file."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
