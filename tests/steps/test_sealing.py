"""A sealed file opens with the key of its claim alone, and only if every byte is as it was sealed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.resources.sealing_key import SealingKey
from privatekube.steps import sealing
from tests.examples import examples

KEY = SealingKey.of_claim(bytes(range(32)), "uid")
ORIGIN = sealing.Origin("ns/c", "r1", "dp_train")
CHUNK = 1 << 20


def sealed(folder: Path, content: bytes, *, origin: sealing.Origin = ORIGIN) -> Path:
    (folder / "clear").write_bytes(content)
    sealing.seal(folder / "clear", folder / "sealed", key=KEY.public, origin=origin)
    return folder / "sealed"


def opened(path: Path, *, key: SealingKey = KEY, origin: sealing.Origin = ORIGIN) -> bytes:
    target = path.with_name("opened") / "file"
    sealing.open_sealed(path, target, key=key, origin=origin)
    assert target.stat().st_mode & 0o777 == 0o600
    return target.read_bytes()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
def test_a_file_of_any_length_is_opened_as_it_was(tmp_path: Path, size: int) -> None:
    content = hashlib.shake_128(b"seed").digest(size)
    path = sealed(tmp_path, content)
    assert content[:64] not in path.read_bytes() or size < 16
    assert opened(path) == content


def test_a_file_that_is_sealed_twice_has_no_byte_of_a_chunk_in_common_by_design(tmp_path: Path) -> None:
    first, second = (sealed(tmp_path, b"noisy" * 99).read_bytes() for _ in range(2))
    assert first != second
    assert first[-515:] != second[-515:]


def test_a_header_says_what_the_file_is_and_nothing_of_its_content(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"noisy")
    assert sealing.is_sealed(path)
    assert not sealing.is_sealed(tmp_path / "clear")
    assert sealing.read_header(path).model_dump() == {
        "claim": "ns/c",
        "run": "r1",
        "step": "dp_train",
        "key": KEY.public,
        "digest": f"sha256:{hashlib.sha256(b'noisy').hexdigest()}",
        "size": 5,
    }


def test_the_format_is_the_documented_one(tmp_path: Path) -> None:
    """Opened by the description of the format alone, so that another program can do it."""
    content = bytes(CHUNK) + b"end"
    data = sealed(tmp_path, content).read_bytes()
    assert data[:9] == b"PKSEALED\x01"
    start = 13 + int.from_bytes(data[9:13], "big") + 32
    ephemeral, assoc = data[start - 32 : start], data[:start]
    own = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex((KEY.private or "").partition(":")[2]))
    shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(ephemeral))
    salt = ephemeral + own.public_key().public_bytes_raw()
    cipher = AESGCM(HKDF(hashes.SHA256(), 32, salt=salt, info=b"privatekube sealed file v1").derive(shared))
    first, last = data[start : start + CHUNK + 16], data[start + CHUNK + 16 :]
    clear = cipher.decrypt(bytes(12), first, assoc) + cipher.decrypt(bytes(10) + b"\x01\x01", last, assoc)
    assert clear == content


@pytest.mark.parametrize("part", ["magic", "version", "length", "header", "ephemeral", "first", "tag", "last"])
def test_a_changed_bit_anywhere_is_refused(tmp_path: Path, part: str) -> None:
    path = sealed(tmp_path, bytes(CHUNK) + b"end")
    data = bytearray(path.read_bytes())
    start = 13 + int.from_bytes(data[9:13], "big") + 32
    place = {
        "magic": 0,
        "version": 8,
        "length": 12,
        "header": data.index(b'"size":') + 8,
        "ephemeral": start - 2,
        "first": start,
        "tag": start + CHUNK,
        "last": len(data) - 18,
    }[part]
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.CorruptData, match=r"^file: .*sealed[^\n]*$"):
        opened(path)
    assert not (tmp_path / "opened" / "file").exists()


@settings(max_examples=examples(20))
@given(st.data())
def test_a_file_that_is_cut_off_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = sealed(folder, b"x" * 40)
    whole = path.read_bytes()
    n_left = data.draw(st.integers(1, len(whole) - 1))
    path.write_bytes(whole[:n_left])
    with pytest.raises(errors.CorruptData, match="is cut off"):
        opened(path)


def test_chunks_that_are_left_out_exchanged_added_or_of_another_file_are_refused(tmp_path: Path) -> None:
    content = b"a" * CHUNK + b"b" * CHUNK + b"c" * CHUNK
    path = sealed(tmp_path, content)
    data, step = path.read_bytes(), CHUNK + 16
    start = len(data) - 3 * step
    head, chunks = data[:start], [data[start + number * step :][:step] for number in range(3)]
    other = sealed(tmp_path, content).read_bytes()[start : start + step]
    attacks = {
        "is cut off": [chunks[:2], chunks[1:]],
        "is damaged": [[chunks[1], chunks[0], chunks[2]], [*chunks, chunks[2]], [other, *chunks[1:]]],
    }
    for message, orders in attacks.items():
        for order in orders:
            path.write_bytes(head + b"".join(order))
            with pytest.raises(errors.CorruptData, match=message):
                opened(path)


def test_a_header_that_states_a_shorter_file_does_not_hide_that_it_was_cut(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"a" * CHUNK * 2)
    data = path.read_bytes().replace(b'"size":2097152', b'"size":1048576')
    path.write_bytes(data[: -(CHUNK + 16)])
    with pytest.raises(errors.CorruptData, match="is damaged"):
        opened(path)


@pytest.mark.parametrize(
    "origin",
    [
        sealing.Origin("ns/d", "r1", "dp_train"),
        sealing.Origin("ns/c", "r2", "dp_train"),
        sealing.Origin("ns/c", "r1", "dp_evaluate"),
    ],
)
def test_a_file_of_another_claim_run_or_step_is_one_line_that_names_both(
    tmp_path: Path, origin: sealing.Origin
) -> None:
    path = sealed(tmp_path, b"noisy", origin=origin)
    with pytest.raises(errors.InvalidInput, match=f"was sealed by {origin}, not by {ORIGIN}; pass the files of this"):
        opened(path)


def test_another_key_and_a_key_that_is_withheld_are_one_line_each(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"noisy")
    with pytest.raises(errors.InvalidInput, match="is sealed to another key than that of claim ns/c"):
        opened(path, key=SealingKey.of_claim(bytes(32), "uid"))
    with pytest.raises(errors.InvalidInput, match="its claim has not paid; consume the claim first"):
        opened(path, key=KEY.withheld)
    forged = SealingKey(KEY.public, SealingKey.of_claim(bytes(32), "uid").private)
    with pytest.raises(errors.CorruptData, match="is damaged"):
        opened(path, key=forged)


@pytest.mark.parametrize("content", [b"", b"{}", b"HDF", b"PKSEALEX\x01" + bytes(99)])
def test_a_file_that_is_not_sealed_and_one_that_is_not_there_are_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sealed").write_bytes(content)
    with pytest.raises(errors.CorruptData, match="is not a sealed file; pass what a step has written"):
        opened(tmp_path / "sealed")
    with pytest.raises(errors.NotFound, match="does not exist"):
        opened(tmp_path / "missing")


def test_a_later_version_is_named(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"noisy")
    path.write_bytes(path.read_bytes().replace(b"PKSEALED\x01", b"PKSEALED\x02"))
    with pytest.raises(errors.CorruptData, match="is a sealed file of version 2, this version reads 1"):
        opened(path)
