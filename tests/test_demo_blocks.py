"""`demo_blocks.py`: create, list, delete; the same data never gets a second budget."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from privatekube.data import block_file
from tests.e2e.conftest import ROOT, Laptop

pytestmark = pytest.mark.slow  # each test runs commands in processes of their own
FIRST = "privacy-example/amazon-2013-01-01-0"


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def one_day(laptop: Laptop, *options: str, status: int = 0) -> str:
    return laptop.run("demo_blocks.py", "create", "--days", "1", *options, status=status)


def test_a_block_states_its_data_dimensions_digest_and_budget(laptop: Laptop) -> None:
    one_day(laptop, "--users", "2")
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
    one_day(laptop, "--accounting", "renyi")
    curve = laptop.blocks()[FIRST]["spec"]["initialBudget"]["renyi"]
    assert [point["alpha"] for point in curve] == [1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64, 1e6]
    assert curve[-1]["epsilon"] == 10.0


def test_blocks_are_listed_as_a_table_and_as_json(laptop: Laptop) -> None:
    one_day(laptop)
    assert "amazon-2013-01-01-0" in laptop.run("demo_blocks.py", "list")
    assert json.loads(laptop.run("demo_blocks.py", "list", "-o", "json"))["kind"] == "List"


def test_privatekubes_published_blocks_are_copied_with_a_digest_that_confirms_no_guess(laptop: Laptop) -> None:
    rows = np.zeros((5, 150), np.int32)
    rows[:, 0], rows[:, 1], rows[:, 3], rows[:, 4] = 1356998400, range(5), 1, 5
    rows[:, 5], rows[:, 6], rows[:, 7:] = 3, 4, 1
    rows[:, 7:10], rows[:, 23:27] = [2, 10, 3], [2, 11, 12, 3]
    (laptop.folder / "published").mkdir()
    with h5py.File(laptop.folder / "published" / "0-7.h5", "w") as file:
        file.create_dataset("block", data=rows, compression="gzip")
    laptop.run("demo_blocks.py", "create", "--source", "published", "--dataset", "old")
    (block,) = laptop.blocks().values()
    assert block["metadata"]["name"] == "old-0-7"
    assert block["spec"]["dataSource"].endswith("old/old-0-7.h5")
    stated = block["metadata"]["annotations"]["privacy.columbia.github.com/content-digest"]
    assert stated.startswith("hmac-sha256:")
    path = Path(block["spec"]["dataSource"].removeprefix("file://"))
    assert block_file.read_privatekube(path, digest=stated).reviews.user.tolist() == [0, 1, 2, 3, 4]


def test_a_bad_line_of_a_source_is_counted_and_reported(laptop: Laptop) -> None:
    good = {"reviewerID": "u", "asin": "p", "overall": 5, "reviewText": "good", "unixReviewTime": 1356998400}
    (laptop.folder / "Music.json").write_text(f"{json.dumps(good)}\nbroken\n")
    written = laptop.run("demo_blocks.py", "create", "--source", "Music.json")
    assert "1 lines of" in written
    assert "created 1 block of" in written


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--days", "0"), "days: 0 must be at least 1"),
        ((), "days: None is missing"),
        (("--days", "1", "--epsilon", "0"), "epsilon: 0.0 must be greater than 0"),
        (("--days", "1", "--epsilon", "nan"), "epsilon: nan must be greater than 0"),
        (("--days", "1", "--delta", "1"), "delta: 1.0 must lie in (0, 1)"),
        (("--days", "1", "--slice", "year"), "slice: 'year' is not one of day, week, month"),
        (("--days", "1", "--unit", "user"), "unit: 'user' is not one of"),
        (("--days", "1", "--unit", "user-day", "--max-contribution", "0"), "max-contribution: 0 must be at least 1"),
        (("--days", "1", "--max-contribution", "3"), "max-contribution: 3 is for --unit user-day"),
        (("--days", "1", "--accounting", "gdp"), "accounting: 'gdp' is not one of epsdel, renyi"),
        (("--days", "1", "--dataset", "My Data"), "dataset: 'My Data' must be at most 42 lower-case"),
        (("--days", "1", "--users", "0"), "--users"),
        (("--source", "nowhere"), "nowhere does not exist"),
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
    deadline = time.monotonic() + 60
    while not list(laptop.folder.rglob("*.h5")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert laptop.blocks() == {}
    laptop.run("demo_blocks.py", "create", "--days", "2")
    assert len(laptop.blocks()) == 2
