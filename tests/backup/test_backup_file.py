"""The file of a backup and its commands: private, whole or refused in one line, and without keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.backup import backup_file
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from tests import builders, command_line


def command(*words: str, store: str = "mine.db", status: int = 0) -> str:
    """Run `privatekube` on a store of the working folder, and return its output, or its error."""
    environment = {connect.STORE: f"sqlite:///{store}"}
    done = command_line.privatekube(*words, folder=Path.cwd(), environment=environment)
    assert done.returncode == status, f"{words}: {done.stdout}{done.stderr}"
    return done.stderr if status else done.stdout


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the backup of a store in which a claim holds half a block."""
    monkeypatch.chdir(tmp_path)
    with connect.connect("sqlite:///mine.db") as client:
        client.create_blocks([builders.block("b", EpsilonDelta(1.0, 1e-6))])
        client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=5)
    assert "1 block, 1 claim, 0 ledger entries" in command("backup", "saved.json")
    return tmp_path / "saved.json"


def test_a_backup_is_restored_into_an_empty_store_and_into_its_own_twice(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    command("policy", "--unlock", "n=4")
    assert "0 blocks restored, 0 charged more, 0 claims restored" in command("restore", "saved.json")
    for expected in ("1 block restored, 0 charged more, 1 claim restored and closed", "0 blocks restored"):
        assert expected in command("restore", "saved.json", store="other.db")
    assert "unsettled" in command("ledger", store="other.db")
    assert "1 entry on the data of 1 block is unchanged" in command("ledger", "--verify", store="other.db")
    assert "unlock: n=4" in command("policy")
    assert "epsilon 0.5" in command("get", "pb", "-o", "csv", store="other.db")


def test_a_file_that_is_not_a_whole_backup_is_refused_in_one_line_and_no_store_is_made(saved: Path) -> None:
    whole = saved.read_bytes()
    header, body = whole.split(b"\n", 1)
    newer = json.dumps({**json.loads(header), "version": 2}).encode()
    bad = Path("bad.json")
    for content, fault in (
        (whole[:-40], "is damaged or not whole"),
        (whole.replace(b'"epsilon":0.5', b'"epsilon":0.1'), "is damaged or not whole"),
        (header, "is damaged or not whole"),
        (newer + b"\n" + body, "is of version 2, and 1 is known"),
        (b"", "is not one of privatekube backup"),
        (b"\xff\xfe\n{}", "is not one of privatekube backup"),
        (b"[" * 100_000, "is not one of privatekube backup"),
        (_signed(b'{"blocks": [{}]}'), "cannot be read"),
        (_signed(b'{"blocks": 1}'), "cannot be read"),
        (_signed(b"[]"), "cannot be read"),
        (_signed(body.strip().replace(b'"claims":[{', b'"claims":[7,{')), "cannot be read"),
    ):
        bad.write_bytes(content)
        error = command("restore", "bad.json", store="new.db", status=2)
        assert fault in error, content[:80]
        assert error.count("\n") == 1
    assert not Path("new.db").exists()
    assert "does not exist" in command("restore", "no.json", status=2)
    assert "cannot be used" in command("restore", ".", status=2)


def _signed(body: bytes) -> bytes:
    header = {"format": backup_file.FORMAT, "version": backup_file.VERSION, "digest": backup_file.digest(body)}
    return json.dumps(header).encode() + b"\n" + body


def test_a_backup_replaces_no_file_and_none_is_made_of_a_store_that_is_missing_or_damaged(saved: Path) -> None:
    assert "saved.json exists" in command("backup", "saved.json", status=2)
    missing = command("backup", "new.json", store="no.db", status=2)
    assert "no.db does not exist" in missing
    with connect.connect("sqlite:///mine.db") as client:
        rows = client.store._rows  # type: ignore[attr-defined]  # a damage that no method of a store can do
        rows("UPDATE resources SET body = '{}' WHERE kind = 'claim'")
    assert "claim ns/c: cannot be read" in command("backup", "new.json", status=2)
    assert not Path("new.json").exists()


def test_the_ledger_in_a_backup_is_a_chain(saved: Path) -> None:
    with connect.connect("sqlite:///mine.db") as client:
        client.mark_opened("ns/c")
        client.consume("ns/c")
    command("backup", "paid.json")
    header, body = Path("paid.json").read_bytes().split(b"\n", 1)
    assert header
    changed = body.strip().replace(b'"reason":"consumed"', b'"reason":"inherited"')
    assert changed != body.strip()
    Path("forged.json").write_bytes(_signed(changed))
    with pytest.raises(errors.CorruptData, match="entry 1 does not follow"):
        backup_file.read(Path("forged.json"))
