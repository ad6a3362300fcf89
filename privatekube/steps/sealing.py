"""Sealed files: what a step releases is encrypted to the key of its claim, and can be opened once the claim has paid.

The format, version 1 (docs/sealed-outputs.md):

    8 bytes    "PKSEALED"
    1 byte     version
    4 bytes    length of the header, big-endian
    ...        header: JSON, UTF-8; see `Header`
    32 bytes   ephemeral X25519 public key
    ...        chunks of 1 MiB of the file, the last one shorter, each followed by its 16-byte tag

Each chunk is AES-256-GCM of its part of the file, with everything before the first chunk as associated data. Its nonce
is its number in 11 bytes, big-endian, and one byte that is 1 for the last chunk and 0 for the others (STREAM of Hoang,
Reyhanitabar, Rogaway and Vizar, CRYPTO 2015, as in age). So chunks that are left out, exchanged, added or taken from
another file are refused. The key of the file is HKDF-SHA256 of the shared secret of X25519, with both public keys as
salt; each file has its own.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import pydantic
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privatekube import errors, validation
from privatekube.resources import sealing_key
from privatekube.resources.sealing_key import SealingKey
from privatekube.storage import local_files, private_files

MAGIC, VERSION = b"PKSEALED", 1
_START = struct.Struct(">8sBI")
_KEY_BYTES, _TAG_BYTES, _CHUNK_BYTES = 32, 16, 1 << 20
_LONGEST_HEADER = 1 << 16
_INFO = b"privatekube sealed file v1"
_REMEDY = "fetch it again"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sealed file is bound to: it cannot be passed off as that of another.

    Args:
        claim: id `namespace/name`.
        run: id of the run.
        step: that released it.
    """

    claim: str
    run: str
    step: str

    def __str__(self) -> str:
        return f"{self.step} of run {self.run} under claim {self.claim}"


class Header(pydantic.BaseModel):
    """What a sealed file says of itself in clear.

    Args:
        claim: id of the claim that pays for it.
        run: id of the run.
        step: that released it.
        key: the public key to which it is sealed.
        digest: of the file as it was released, which is what the claim registers.
        size: of the file as it was released, in bytes.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    claim: str
    run: str
    step: validation.StepName
    key: Annotated[str, pydantic.Field(pattern=r"^x25519:[0-9a-f]{64}$")]
    digest: Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    size: Annotated[int, pydantic.Field(ge=0, le=1 << 50)]

    @property
    def origin(self) -> Origin:
        """What the file is bound to."""
        return Origin(self.claim, self.run, self.step)


def seal(source: Path, target: Path, *, key: str, origin: Origin) -> None:
    """Write what is in `source` to `target`, encrypted; in one step, in place of a file that is there.

    Args:
        source: the file in clear.
        target: where the sealed file goes.
        key: public key of the claim.
        origin: the claim, the run and the step.

    Raises:
        InvalidInput: `source` cannot be read or `target` cannot be written.
    """
    digest, size = _measured(source)
    header = Header(claim=origin.claim, run=origin.run, step=origin.step, key=key, digest=digest, size=size)
    encoded, ephemeral = header.model_dump_json().encode(), x25519.X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    start = _START.pack(MAGIC, VERSION, len(encoded)) + encoded + public
    cipher = _cipher(ephemeral, their=sealing_key.raw(key), salt=public + sealing_key.raw(key))
    with source.open("rb") as clear, local_files.replacing(target, overwrite=True) as sealed:
        sealed.write(start)
        for nonce, n_bytes in _chunks(size):
            sealed.write(cipher.encrypt(nonce, clear.read(n_bytes), start))


def open_sealed(source: Path, target: Path, *, key: SealingKey, origin: Origin) -> None:
    """Write to `target` what was sealed in `source`, if all of it is as it was sealed; nothing is written otherwise.

    Args:
        source: the sealed file.
        target: where the file in clear goes; only its owner can read it.
        key: of the claim, with its private half.
        origin: the claim, the run and the step that `source` must be of.

    Raises:
        CorruptData: `source` is cut off, was changed, or is not a sealed file.
        InvalidInput: it is of another claim, run or step, or is sealed to another key.
    """
    with _reading(source) as sealed:
        header, start = _read_start(sealed, source)
        _require_expected(header, source, key=key, origin=origin)
        _require_complete(header, source, n_before=len(start))
        cipher = _opening_cipher(start, key, source)
        clear_digest = hashlib.sha256()
        private_files.make_folder(target.parent)
        with local_files.replacing(target, overwrite=True, mode=0o600) as clear:
            for nonce, n_bytes in _chunks(header.size):
                chunk = _decrypted(cipher, nonce, sealed.read(n_bytes + _TAG_BYTES), start, source)
                clear_digest.update(chunk)
                clear.write(chunk)
            if f"sha256:{clear_digest.hexdigest()}" != header.digest:
                raise _damaged(source)


def is_sealed(path: Path) -> bool:
    """Return whether a file begins as a sealed one does."""
    with _reading(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def released_digest(path: Path) -> str:
    """Return the digest of a file as it was released: what a sealed one states, or that of the file itself."""
    return read_header(path).digest if is_sealed(path) else _measured(path)[0]


def read_header(path: Path) -> Header:
    """Return what a sealed file says of itself; whether it is true shows when the file is opened.

    Raises:
        CorruptData: it is cut off, was changed, or is not a sealed file.
    """
    with _reading(path) as sealed:
        return _read_start(sealed, path)[0]


def _reading(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise local_files.translation(error, path) from error


def _measured(source: Path) -> tuple[str, int]:
    """Return the digest of a file and its size in bytes."""
    with _reading(source) as file:
        digest = hashlib.file_digest(file, "sha256")
        return f"sha256:{digest.hexdigest()}", file.tell()


def _chunks(size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the nonce of each chunk of a file of that size, and how many bytes of the file are in it."""
    n_chunks = max(1, -(-size // _CHUNK_BYTES))
    for number in range(n_chunks):
        is_last = number == n_chunks - 1
        nonce = number.to_bytes(11, "big") + bytes([is_last])
        yield nonce, size - number * _CHUNK_BYTES if is_last else _CHUNK_BYTES


def _cipher(own: x25519.X25519PrivateKey, *, their: bytes, salt: bytes) -> AESGCM:
    """Return the cipher of a file; ValueError if the other key is a point that gives no secret."""
    shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(their))
    return AESGCM(HKDF(hashes.SHA256(), _KEY_BYTES, salt=salt, info=_INFO).derive(shared))


def _opening_cipher(start: bytes, key: SealingKey, source: Path) -> AESGCM:
    if key.private is None:
        raise errors.InvalidInput(f"file: {source} is sealed, and its claim has not paid; consume the claim first")
    own = x25519.X25519PrivateKey.from_private_bytes(sealing_key.raw(key.private))
    ephemeral = start[-_KEY_BYTES:]
    try:
        return _cipher(own, their=ephemeral, salt=ephemeral + own.public_key().public_bytes_raw())
    except ValueError:
        raise _damaged(source) from None


def _read_start(sealed: BinaryIO, source: Path) -> tuple[Header, bytes]:
    """Return the header of a sealed file, and all bytes before its first chunk."""
    first = sealed.read(_START.size)
    if first[: len(MAGIC)] != MAGIC[: len(first)] or not first:
        raise errors.CorruptData(f"file: {source} is not a sealed file; pass what a step has written")
    if len(first) < _START.size:
        raise _cut_off(source)
    _, version, length = _START.unpack(first)
    if version != VERSION:
        fault = f"is a sealed file of version {version}, this version reads {VERSION}"
        raise errors.CorruptData(f"file: {source} {fault}; use the privatekube that wrote it, or {_REMEDY}")
    if length > _LONGEST_HEADER:
        raise _damaged(source)
    rest = sealed.read(length + _KEY_BYTES)
    if len(rest) < length + _KEY_BYTES:
        raise _cut_off(source)
    try:
        return Header.model_validate_json(rest[:length]), first + rest
    except pydantic.ValidationError:
        raise _damaged(source) from None


def _require_expected(header: Header, source: Path, *, key: SealingKey, origin: Origin) -> None:
    if header.origin != origin:
        raise errors.InvalidInput(
            f"file: {source} was sealed by {header.origin}, not by {origin}; pass the files of this run"
        )
    if header.key != key.public:
        raise errors.InvalidInput(
            f"file: {source} is sealed to another key than that of claim {origin.claim}; pass the files of this run"
        )


def _require_complete(header: Header, source: Path, *, n_before: int) -> None:
    """Check the length of a sealed file."""
    n_chunks = sum(1 for _ in _chunks(header.size))
    expected, actual = n_before + header.size + n_chunks * _TAG_BYTES, source.stat().st_size
    if actual < expected:
        raise _cut_off(source)
    if actual > expected:
        raise _damaged(source)


def _decrypted(cipher: AESGCM, nonce: bytes, chunk: bytes, start: bytes, source: Path) -> bytes:
    try:
        return cipher.decrypt(nonce, chunk, start)
    except InvalidTag:
        raise _damaged(source) from None


def _cut_off(source: Path) -> errors.CorruptData:
    return errors.CorruptData(f"file: {source} is cut off: a sealed file is longer; {_REMEDY}")


def _damaged(source: Path) -> errors.CorruptData:
    return errors.CorruptData(f"file: {source} is damaged: it is not as it was sealed; {_REMEDY}")
