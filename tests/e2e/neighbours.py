"""Runs over neighbouring data with the same noise, and all that others can read of them."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from privatekube.steps import sealing
from tests.e2e.conftest import ROOT, Laptop

SAME_NOISE = ROOT / "tests" / "e2e" / "same_noise"
WORDS = ["good", "bad", "song", "paper", "printer", "album", "cheap", "great", "guitar", "ink"]
SETTINGS = ("model=lstm", "hidden_dim=4", "embedding_dim=4", "max_text_len=8")

NOISY = {
    "statistics.json": ("counts/*/*",),
    "metrics.json": ("accuracy/*", "per_class/*/*", "majority_share/*", "examples"),
}
"""Fields of the published documents that the accountant counted: noisy values."""

SHOWN = re.compile(r"(?<=\)  )-?[\d.]+ \(95 %: [\d.]+ to [\d.]+\)|(?<=majority class            ).*")
"""The noisy metrics where a run shows them."""

VARYING = {
    "RUN": re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}"),
    "UID": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "COMMIT": re.compile(r"\b[0-9a-f]{40}(-modified)?\b"),
    "COMMITMENT": re.compile(r"hmac-sha256:[0-9a-f]{64}"),
    "IDENTITY": re.compile(r'(?<=/data-identity": ")[0-9a-f]{32}'),
    "KEY": re.compile(r"(ed25519|x25519|x25519-private):[0-9a-f]{64}"),
    "SIGNATURE": re.compile(r"\b[0-9a-f]{128}\b"),
    "TIME": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\b0?1\d{12}(\d{6})?\b"),
}
"""What is random or a time, and differs between two runs over the same data.

The key of a commitment is random and private, the name of a data identity is random.
"""

REPORTED = re.compile(r'<svg class="interval".*?</span>|<span>unknown</span>|(?<=accuracy )<b>.*?</b>', re.DOTALL)
"""A figure of a report: an estimate of the noisy files."""

NUMBER = re.compile(r"-?\b\d[\d.e+-]*|\bnull\b")
"""A value of an estimate, which is null if the noisy counts leave none."""


def data_sets() -> dict[str, dict[str, list[str]]]:
    """Return two neighbouring data sets: the second has one review more, of a user who has no other."""
    without = reviews(400)
    more = review("a user of one review", stars=4, text="never heard a song like this", day=1)
    return {"a": without, "b": without | {"Music": [*without["Music"], more]}}


def reviews(count: int) -> dict[str, list[str]]:
    """Return that many reviews by category, as lines of JSON."""
    chooser = random.Random(7)
    lines: dict[str, list[str]] = {"Music": [], "Office": []}
    for _ in range(count):
        lines[chooser.choice(sorted(lines))].append(
            review(
                f"user-{chooser.randrange(60)}",
                stars=chooser.randint(1, 5),
                text=" ".join(chooser.choices(WORDS, k=chooser.randint(1, 30))),
                day=chooser.randrange(3),
            )
        )
    return lines


def review(user: str, *, stars: int, text: str, day: int) -> str:
    """Return a review as a line of JSON."""
    return json.dumps(
        {
            "reviewerID": user,
            "asin": "product-1",
            "overall": float(stars),
            "reviewText": text,
            "summary": "fine",
            "unixReviewTime": 1356998400 + 86400 * day,
        }
    )


def write_source(folder: Path, lines: Mapping[str, list[str]]) -> Path:
    """Write a file of reviews for each category, and return their folder."""
    folder.mkdir(parents=True)
    for category, part in lines.items():
        (folder / f"{category}.json").write_text("\n".join(part) + "\n")
    return folder


def create(laptop: Laptop, lines: Mapping[str, list[str]]) -> str:
    """Create blocks of these reviews, and return what that wrote."""
    source = write_source(laptop.folder / "source", lines)
    options = ("--source", str(source), "--start-day", "0", "--days", "3", "--unit", "user-day")
    return laptop.run("demo_blocks.py", "create", "--local-files", *options, "--max-contribution", "2")


def with_same_noise(environment: Mapping[str, str], patches: Path = SAME_NOISE) -> dict[str, str]:
    """Return the environment of commands whose noise is the same in each run, patched by the module in a folder."""
    return {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}:{patches}"}


def published(laptop: Laptop) -> dict[str, str]:
    """Return all published files and all artifacts as text, without what is noisy."""
    folder = (laptop.folder / "out" / "latest").resolve()
    texts = {path.name: model_text(path) if path.suffix == ".pt" else path.read_text() for path in folder.iterdir()}
    texts["report.html"] = REPORTED.sub("N", texts["report.html"])
    for name, patterns in NOISY.items():
        texts[f"{name} without numbers"] = NUMBER.sub("N", texts[name])
        texts[name] = json.dumps(without_noise(json.loads(texts[name]), patterns), indent=1)
    return texts | artifacts(laptop, {path.read_bytes(): path.name for path in folder.iterdir()})


def artifacts(laptop: Laptop, published_names: Mapping[bytes, str]) -> dict[str, str]:
    """Return the artifacts that were left at the end of the run: as text, or the name of the equal published file.

    Of a sealed one what it says of itself is returned, but for the size of a document of noisy numbers. The rest is
    as long as that says, and random.
    """
    folder = laptop.folder / "artifacts"
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {f"artifact {path.relative_to(folder)}": artifact_text(path, published_names) for path in paths}


def artifact_text(path: Path, published_names: Mapping[bytes, str]) -> str:
    content = path.read_bytes()
    if not sealing.is_sealed(path):
        return published_names.get(content, content.decode(errors="backslashreplace"))
    header = sealing.read_header(path)
    n_chunks = max(1, -(-header.size // 2**20))
    assert len(content) == 13 + len(header.model_dump_json()) + 32 + header.size + 16 * n_chunks
    return header.model_dump_json(exclude=set() if path.name == "checkpoint" else {"size"})


def public_digests(laptop: Laptop, owner: Laptop) -> dict[str, str]:
    """Return names of the digests of what is published itself, which confirm no more than that says.

    They are of the published files, of the privacy card and of the entries of the ledger: `verify-card` and
    `ledger --verify` compute them again. One more is of the Grant, which allocate writes before the
    run reads any data.

    Args:
        laptop: that of the run.
        owner: that of the data's owner, who alone may check the ledger against the data.
    """
    folder = (laptop.folder / "out" / "latest").resolve()
    card = json.loads((folder / "privacy-card.json").read_text())
    laptop.run("privatekube", "verify-card", str(folder / "privacy-card.json"))
    owner.run("privatekube", "ledger", "--verify")
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in folder.iterdir()}
    entries = {entry["digest"]: f"entry {entry['sequence']}" for entry in laptop.json("ledger")["entries"]}
    grant = json.loads((folder / "receipt.json").read_text())["grant"]
    return {**files, **entries, card["statement"]["card"]: "the card", grant: "the Grant"}


def model_text(path: Path) -> str:
    """Return all of a published model but the noisy weights: its size and text, and the form of its tensors."""
    content = torch.load(path, weights_only=True)
    form = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in content["state"].items()}
    other = sorted(set(content) - {"state", "digest"})
    return json.dumps([path.stat().st_size, form, {name: content[name] for name in other}])


def without_noise(document: Any, patterns: tuple[str, ...], place: str = "") -> Any:
    """Return the document with the type of each value whose place, `key/key/0/key`, fits one of `patterns`."""
    if any(fnmatchcase(place, pattern) and pattern.count("/") == place.count("/") for pattern in patterns):
        return type(document).__name__.replace("int", "float").replace("NoneType", "float")
    if isinstance(document, dict):
        return {key: without_noise(value, patterns, f"{place}/{key}".strip("/")) for key, value in document.items()}
    if isinstance(document, list):
        return [without_noise(value, patterns, f"{place}/{n}".strip("/")) for n, value in enumerate(document)]
    return document


def comparable(text: str, laptop: Laptop, digests: Mapping[str, str]) -> str:
    """Return the text with names in place of what differs between two runs over the same data."""
    text = text.replace(str(laptop.folder), "FOLDER")
    for digest, name in digests.items():
        text = text.replace(digest.removeprefix("sha256:"), f"DIGEST of {name}")
    for name, pattern in VARYING.items():
        text = pattern.sub(name, text)
    return text
