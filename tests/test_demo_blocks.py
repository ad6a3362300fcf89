"""`demo_blocks.py`: create, list, delete; the same data never gets a second budget."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from privatekube.client.client import BudgetClient
from privatekube.data import block_file
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.store.sqlite.store import SqliteStore
from tests import waiting
from tests.e2e.conftest import ROOT, Laptop

pytestmark = pytest.mark.slow  # each test runs commands in processes of their own
FIRST = "privacy-example/amazon-2013-01-01-0"
FIRST_SECOND = 1_356_998_400
"""Unix seconds of 2013-01-01."""


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def one_day(laptop: Laptop, *options: str, status: int = 0) -> str:
    return laptop.run("demo_blocks.py", "create", "--days", "1", *options, status=status)


def test_a_block_states_its_data_dimensions_digest_and_budget(laptop: Laptop) -> None:
    one_day(laptop, "--users", "2", "--accounting", "epsdel")
    blocks = laptop.blocks()
    assert sorted(blocks) == [FIRST, FIRST[:-1] + "1"]
    block = blocks[FIRST]
    assert block["spec"]["initialBudget"] == {"epsDel": {"epsilon": 10.0, "delta": 1e-07}}
    dimensions = {
        dimension["attribute"]: dimension.get("numericValue", dimension.get("stringValue"))
        for dimension in block["spec"]["dimensions"]
    }
    expected = {"startTime": "0", "endTime": "0", "userBucket": "0", "userBuckets": "2", "unit": "event"}
    assert expected.items() <= dimensions.items()
    path = Path(block["spec"]["dataSource"].removeprefix("file://"))
    stated = block["metadata"]["annotations"]["privacy.columbia.github.com/content-digest"]
    assert block_file.read(path, digest=stated).metadata.n_buckets == 2


def test_a_user_is_in_one_block_over_all_days_and_its_reviews_are_bounded(laptop: Laptop) -> None:
    laptop.run("demo_blocks.py", "create", "--days", "3", "--users", "2", "--unit", "user")
    blocks = laptop.blocks()
    assert len(blocks) == 2
    files = [Path(block["spec"]["dataSource"].removeprefix("file://")) for block in blocks.values()]
    parts = [block_file.read(file) for file in files]
    assert {(part.metadata.start_day, part.metadata.end_day, part.metadata.max_contribution) for part in parts} == {
        (0, 2, 5)
    }
    users = [set(part.reviews.user.tolist()) for part in parts]
    assert users[0].isdisjoint(users[1])
    assert [np.unique(part.reviews.user, return_counts=True)[1].max() for part in parts] == [5, 5]


def test_a_user_day_has_a_bound_even_where_none_is_named(laptop: Laptop) -> None:
    one_day(laptop, "--unit", "user-day")
    (block,) = laptop.blocks().values()
    assert {"attribute": "maxContribution", "numericValue": "2"} in block["spec"]["dimensions"]


def test_the_same_data_is_refused_and_its_budget_not_refreshed(laptop: Laptop) -> None:
    one_day(laptop)
    before = laptop.blocks()
    line = one_day(laptop, status=2)
    assert line.startswith(f"error: block {FIRST}: its data is registered already, and a budget is never refreshed")
    assert len(line.splitlines()) == 1
    assert "1 existed already" in one_day(laptop, "--exist-ok")
    assert laptop.blocks() == before


def test_the_same_reviews_cut_otherwise_are_refused(laptop: Laptop) -> None:
    one_day(laptop)
    for options in (("--users", "2"), ("--unit", "user-day", "--max-contribution", "2"), ("--seed", "3")):
        assert one_day(laptop, *options, status=2).startswith("error: ")
    assert list(laptop.blocks()) == [FIRST]


def test_more_days_add_the_missing_blocks(laptop: Laptop) -> None:
    one_day(laptop)
    assert "created 1 block of" in laptop.run("demo_blocks.py", "create", "--days", "2")
    assert len(laptop.blocks()) == 2


def test_deleted_data_comes_back_with_the_same_budget_alone(laptop: Laptop) -> None:
    one_day(laptop)
    laptop.run("demo_blocks.py", "delete", "--all")
    assert laptop.blocks() == {}
    assert "create it with the same" in one_day(laptop, "--epsilon", "20", status=2)
    one_day(laptop)
    assert list(laptop.blocks()) == [FIRST]


def test_renyi_blocks_have_the_standard_orders(laptop: Laptop) -> None:
    assert "of epsilon 10, delta 1e-07 in Renyi accounting in privacy-example" in one_day(laptop)
    curve = laptop.blocks()[FIRST]["spec"]["initialBudget"]["renyi"]
    assert [point["alpha"] for point in curve] == [1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64, 1e6]
    assert 9.9999 < curve[-1]["epsilon"] < 10  # less its share of delta


def test_blocks_are_listed_as_a_table_and_as_json(laptop: Laptop) -> None:
    one_day(laptop)
    assert "amazon-2013-01-01-0" in laptop.run("demo_blocks.py", "list")
    assert json.loads(laptop.run("demo_blocks.py", "list", "-o", "json"))["kind"] == "List"


def published_rows(day: int) -> np.ndarray:
    """Return five reviews of a day in PrivateKube's published layout."""
    rows = np.zeros((5, 150), np.int32)
    rows[:, 0], rows[:, 1], rows[:, 3], rows[:, 4] = FIRST_SECOND + day * 86_400, range(5), 1, 5
    rows[:, 5], rows[:, 6], rows[:, 7:] = 3, 4, 1
    rows[:, 7:10], rows[:, 23:27] = [2, 10, 3], [2, 11, 12, 3]
    return rows


def write_published(laptop: Laptop, name: str, rows: np.ndarray) -> None:
    (laptop.folder / "published").mkdir(exist_ok=True)
    with h5py.File(laptop.folder / "published" / name, "w") as file:
        file.create_dataset("block", data=rows, compression="gzip")


PUBLISHED = ("--source", "published", "--dataset", "old", "--start-day", "0", "--end-day", "4")


def test_published_blocks_of_the_declared_days_are_copied_with_a_digest_that_confirms_no_guess(laptop: Laptop) -> None:
    write_published(laptop, "0-7.h5", published_rows(0).repeat(2, axis=0))
    write_published(laptop, "5-7.h5", published_rows(5))
    laptop.run("demo_blocks.py", "create", *PUBLISHED, "--report", "report.json")
    (block,) = laptop.blocks().values()
    assert block["metadata"]["name"] == "old-0-7"
    assert block["spec"]["dataSource"].endswith("old/old-0-7.h5")
    stated = block["metadata"]["annotations"]["privacy.columbia.github.com/content-digest"]
    assert stated.startswith("hmac-sha256:")
    path = Path(block["spec"]["dataSource"].removeprefix("file://"))
    assert block_file.read_privatekube(path, digest=stated).reviews.user.tolist() == [0, 1, 2, 3, 4]
    (counts,) = json.loads((laptop.folder / "report.json").read_text())["files"].values()
    assert (counts["kept"], counts["exact_copies"]) == (5, 5)


def test_a_published_file_under_the_name_of_another_bucket_gets_no_second_budget(laptop: Laptop) -> None:
    others = published_rows(0)
    others[:, 1] += 100
    for bucket, rows in {7: published_rows(0), 8: others, 9: published_rows(0)[1:]}.items():
        write_published(laptop, f"0-{bucket}.h5", rows)
    refused = laptop.run("demo_blocks.py", "create", *PUBLISHED, status=2)
    assert "block privacy-example/old-0-9: some of its data is registered as privacy-example/old-0-7" in refused
    (laptop.folder / "published" / "0-9.h5").unlink()
    laptop.run("demo_blocks.py", "create", *PUBLISHED)
    assert sorted(laptop.blocks()) == ["privacy-example/old-0-7", "privacy-example/old-0-8"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("4-7.h5", "4-7.h5 has reviews of another day than its name says"),
        ("merged.h5", "merged.h5' is not named {day}-{bucket}.h5"),
        ("5-7.h5", "has no file of the declared days"),
    ],
)
def test_a_published_file_that_does_not_declare_the_day_of_its_reviews_is_refused(
    laptop: Laptop, name: str, message: str
) -> None:
    write_published(laptop, name, published_rows(3))
    assert message in laptop.run("demo_blocks.py", "create", *PUBLISHED, status=2)
    assert laptop.blocks() == {}
    assert not list((laptop.folder / ".privatekube").rglob("*.h5"))


GOOD = [
    {
        "reviewerID": f"u{n}",
        "asin": "p",
        "overall": 5,
        "reviewText": "good",
        "unixReviewTime": FIRST_SECOND + n * 40_000,
    }
    for n in range(9)
]
FILES = ("--source", "reviews", "--start-day", "2013-01-01", "--end-day", "4", "--users", "2", "--accounting", "epsdel")


CREATED = "created 10 blocks of epsilon 10, delta 1e-07 in privacy-example\n"
BY_CHANCE = re.compile(
    r"hmac-sha256:[0-9a-f]{64}|\"[0-9a-f]{32}\"|\d{4}-\d\d-\d\dT[0-9:.]+Z|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""Digests under a random key, times and random ids."""


def created(laptop: Laptop, lines: Sequence[object], *options: str) -> tuple[str, list[str], str]:
    """Create blocks of a source; return what is printed, the names of all files, and the resources."""
    (laptop.folder / "reviews").mkdir(parents=True)
    (laptop.folder / "reviews" / "Empty.json").touch()
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    (laptop.folder / "reviews" / "Music.json").write_text(text)
    printed = laptop.run("demo_blocks.py", "create", *FILES, *options)
    resources = BY_CHANCE.sub("...", json.dumps(laptop.blocks())).replace(str(laptop.folder), "")
    return printed, sorted(str(path.relative_to(laptop.folder)) for path in laptop.folder.rglob("*")), resources


@pytest.fixture(scope="module")
def without_neighbour(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str], str]:
    """Return what creating blocks of nine good reviews prints, names and declares."""
    return created(Laptop(tmp_path_factory.mktemp("one")), GOOD)


@pytest.mark.parametrize(
    "neighbour",
    [
        GOOD[:-1],
        [*GOOD, {**GOOD[0], "reviewerID": "other"}],
        [*GOOD, GOOD[0]],
        [{**GOOD[0], "unixReviewTime": 0}, *GOOD],
        [*GOOD, {**GOOD[0], "unixReviewTime": FIRST_SECOND - 365 * 86_400}],
        ["broken", *GOOD],
        [*GOOD, {**GOOD[0], "overall": 9}],
        [GOOD[0]],
        [],
    ],
    ids=["one less", "one more", "a copy", "time 0", "another year", "a bad line", "a bad field", "one", "none"],
)
def test_nothing_that_creating_prints_names_or_declares_depends_on_a_review(
    laptop: Laptop, neighbour: Sequence[object], without_neighbour: tuple[str, list[str], str]
) -> None:
    assert created(laptop, neighbour) == without_neighbour
    assert without_neighbour[0] == CREATED


def test_the_owner_gets_exact_numbers_in_a_private_file_and_nothing_on_the_terminal(laptop: Laptop) -> None:
    lines = [*GOOD, GOOD[0], "broken", {**GOOD[0], "unixReviewTime": FIRST_SECOND - 1}]
    printed, _, _ = created(laptop, lines, "--report", "private/report.json")
    assert printed == CREATED
    path = laptop.folder / "private" / "report.json"
    assert path.stat().st_mode & 0o777 == 0o600
    counts = {"kept": 9, "exact_copies": 1, "outside_days": 1, "not_records": {"cannot be read": 1}, "clamped": {}}
    assert counts in json.loads(path.read_text())["files"].values()


def test_nothing_private_can_be_read_by_others_under_the_usual_umask(laptop: Laptop) -> None:
    before = os.umask(0o022)
    try:
        one_day(laptop)
        one_day(laptop, "--data-dir", "elsewhere", "--start-day", "3")
    finally:
        os.umask(before)
    home, data = laptop.folder / ".privatekube", laptop.folder / "elsewhere"
    paths = [home, *home.rglob("*"), data, *data.rglob("*")]
    assert {".h5", ".db"} <= {path.suffix for path in paths}
    assert [str(path) for path in paths if path.stat().st_mode & 0o077] == []


def test_a_few_reviews_of_the_days_of_the_demo_get_blocks_beside_it(laptop: Laptop) -> None:
    one_day(laptop)
    printed, _, _ = created(laptop, GOOD, "--dataset", "mine")
    assert printed == CREATED
    assert [block["spec"]["dataset"] for block in laptop.blocks().values()] == ["amazon", *["mine"] * 10]


def test_copies_are_kept_where_the_owner_asks_for_them(laptop: Laptop) -> None:
    created(laptop, [*GOOD, GOOD[0]], "--keep-copies")
    files = list((laptop.folder / ".privatekube").rglob("*.h5"))
    assert sum(len(block_file.read(file).reviews) for file in files) == len(GOOD) + 1
    declared = {"attribute": "exactCopies", "stringValue": "kept"}
    assert all(declared in block["spec"]["dimensions"] for block in laptop.blocks().values())


def test_blocks_without_copies_declare_nothing_of_copies(laptop: Laptop) -> None:
    created(laptop, [*GOOD, GOOD[0]])
    assert "exactCopies" not in json.dumps(laptop.blocks())


def test_a_file_with_something_behind_its_compressed_data_is_read_with_a_warning(laptop: Laptop) -> None:
    data = gzip.compress("\n".join(map(json.dumps, GOOD)).encode()) + b"garbage"
    (laptop.folder / "Music.jsonl.gz").write_bytes(data)
    options = ("--source", "Music.jsonl.gz", "--start-day", "0", "--days", "5", "--slice", "month")
    printed = laptop.run("demo_blocks.py", "create", *options)
    assert "warning: " in printed
    assert "Music.jsonl.gz: ignored what follows the compressed data\ncreated 1 block of" in printed


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--days", "0"), "days: 0 must be at least 1"),
        ((), "end-day: is missing; set --start-day 2013-01-01 --end-day 2014-12-31, say"),
        (("--source", "nowhere"), "start-day: is missing; set --start-day 2013-01-01 --end-day 2014-12-31, say"),
        (("--source", "nowhere", "--start-day", "0"), "end-day: is missing"),
        (("--start-day", "1970-01-01", "--end-day", "2013-01-01"), "15707 blocks, more than 5000 at once"),
        (("--days", "1", "--report", "gs://b/x"), "report: 'gs://b/x' is not a local file"),
        (("--days", "1", "--epsilon", "0"), "epsilon: 0.0 must be greater than 0"),
        (("--days", "1", "--epsilon", "nan"), "epsilon: nan must be greater than 0"),
        (("--days", "1", "--delta", "1"), "delta: 1.0 must lie in (0, 1)"),
        (("--days", "1", "--slice", "year"), "slice: 'year' is not one of day, week, month"),
        (("--days", "1", "--unit", "person"), "unit: 'person' is not one of"),
        (("--days", "9", "--unit", "user", "--slice", "day"), "slice: 'day' would spread a user over several blocks"),
        (("--days", "1", "--unit", "user-day", "--max-contribution", "0"), "max-contribution: 0 must be at least 1"),
        (("--days", "1", "--max-contribution", "3"), "max-contribution: 3 is for --unit user-day or user"),
        (("--days", "1", "--accounting", "gdp"), "accounting: 'gdp' is not one of epsdel, renyi"),
        (("--days", "1", "--dataset", "My Data"), "dataset: 'My Data' must be at most 42 lower-case"),
        (("--days", "1", "--users", "0"), "--users"),
        (("--source", "nowhere", "--start-day", "0", "--days", "1"), "nowhere does not exist"),
        (("--days", "1.5"), "--days"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_left(laptop: Laptop, options: tuple[str, ...], expected: str) -> None:
    line = laptop.run("demo_blocks.py", "create", *options, status=2)
    assert line.startswith("error: ")
    assert len(line.splitlines()) == 1
    assert expected in line
    assert laptop.blocks() == {}
    assert not list(laptop.folder.rglob("*.h5"))


def test_a_folder_whose_name_is_not_utf8_is_refused_at_creation(laptop: Laptop) -> None:
    folder = os.fsdecode(os.fsencode(laptop.folder) + b"/caf\xe9")
    line = one_day(laptop, "--data-dir", folder, status=2)
    assert len(line.splitlines()) == 1
    assert "is not UTF-8 text; use a folder with another name" in line
    assert list(laptop.folder.iterdir()) in ([], [laptop.folder / ".privatekube"])
    assert laptop.blocks() == {}


def test_a_full_disk_leaves_nothing_half_written(laptop: Laptop) -> None:
    script = f"ulimit -f 20; exec {sys.executable} {ROOT / 'demo_blocks.py'} create --days 1"
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {script}"],
        cwd=laptop.folder,
        env={**laptop.environment, "PRIVATEKUBE_STORE": f"sqlite:///{laptop.folder}/s.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be" in done.stderr
    assert not [path for path in (laptop.folder / ".privatekube").rglob("*") if path.is_file()]


def test_ctrl_c_registers_nothing_and_creating_again_works(laptop: Laptop) -> None:
    process = laptop.start("demo_blocks.py", "create", "--days", "60")
    waiting.until(lambda: bool(list(laptop.folder.rglob("*.h5"))))
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=waiting.PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert laptop.blocks() == {}
    laptop.run("demo_blocks.py", "create", "--days", "2")
    assert len(laptop.blocks()) == 2


RECUTS = {
    "buckets": ("--users", "2"),
    "slices": ("--slice", "week"),
    "dataset": ("--dataset", "other"),
    "namespace": ("--namespace", "other"),
    "all": ("--users", "3", "--slice", "month", "--dataset", "other", "--namespace", "other"),
}


def spend(laptop: Laptop, share: float) -> None:
    """Commit a share of the initial budget on all blocks, as a run does."""
    with BudgetClient(SqliteStore(laptop.folder / ".privatekube" / "state.db")) as client:
        blocks = client.list_blocks()
        demand = BudgetDemand(by_block={block.id: block.spec.initial_budget * share for block in blocks})
        request = AllocateRequest(blocks[0].spec.dataset, demand)
        claim = client.allocate(blocks[0].meta.namespace, "run", request, timeout_seconds=30)
        client.consume(claim.id)


def committed_shares(laptop: Laptop) -> list[list[float]]:
    """Return the share of the initial budget that is committed, at each Renyi order of each block."""
    shares = []
    for block in laptop.blocks().values():
        committed = block["status"].get("committedBudgetMap", {}).values()
        initial = [order["epsilon"] for order in block["spec"]["initialBudget"]["renyi"]]
        totals = [sum(amount["renyi"][place]["epsilon"] for amount in committed) for place in range(len(initial))]
        shares.append([total / whole for total, whole in zip(totals, initial, strict=True) if whole])
    return shares


@pytest.mark.parametrize("name", RECUTS)
def test_deleted_reviews_that_are_cut_and_named_otherwise_bear_what_was_spent(laptop: Laptop, name: str) -> None:
    laptop.run("demo_blocks.py", "create", "--days", "3")
    assert laptop.run("demo_blocks.py", "create", "--days", "3", *RECUTS[name], "--data-dir", "x", status=2)
    spend(laptop, 0.4)
    laptop.run("demo_blocks.py", "delete", "--all")
    laptop.run("demo_blocks.py", "create", "--days", "3", *RECUTS[name], "--data-dir", "again")
    assert committed_shares(laptop)
    for shares in committed_shares(laptop):
        assert shares == pytest.approx([0.4] * len(shares))


@pytest.mark.parametrize("cut", [(), RECUTS["all"]], ids=["cut as before", "cut otherwise"])
def test_deleted_reviews_with_one_review_more_bear_what_was_spent(laptop: Laptop, cut: tuple[str, ...]) -> None:
    reviews = [review(f"U{user}", user % 3) for user in range(60)]
    source = write_reviews(laptop, reviews)
    where = ("--source", str(source), "--start-day", "2013-01-01", "--days", "3")
    laptop.run("demo_blocks.py", "create", *where)
    spend(laptop, 0.4)
    laptop.run("demo_blocks.py", "delete", "--all")
    write_reviews(laptop, [*reviews, review("one more", 1)])
    laptop.run("demo_blocks.py", "create", *where, *cut, "--data-dir", "again")
    assert committed_shares(laptop)
    for shares in committed_shares(laptop):
        assert shares == pytest.approx([0.4] * len(shares))


def review(user: str, day: int) -> dict[str, object]:
    """Return a review of a user on a day from 2013-01-01 on."""
    fields = {"reviewerID": user, "asin": f"P{user}", "overall": 4.0, "reviewText": "a good song", "summary": "nice"}
    return {**fields, "unixReviewTime": FIRST_SECOND + 86_400 * day}


def write_reviews(laptop: Laptop, reviews: Sequence[object]) -> Path:
    """Write a source of one category and return its folder."""
    folder = laptop.folder / "source"
    folder.mkdir(exist_ok=True)
    (folder / "Music.json").write_text("".join(json.dumps(line) + "\n" for line in reviews))
    return folder


def test_a_unit_is_not_changed_after_budget_was_spent(laptop: Laptop) -> None:
    one_day(laptop)
    spend(laptop, 0.4)
    laptop.run("demo_blocks.py", "delete", "--all")
    line = one_day(laptop, "--unit", "user-day", "--data-dir", "again", status=2)
    assert "budget was committed on its data per event; create it with the unit event" in line
