"""The command `privatekube`: tables for people, JSON and YAML for programs, one line for a mistake."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from privatekube.cli.app import app
from privatekube.client import connect
from privatekube.privacy import event_text, events
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary
from privatekube.resources.wire import blocks, claims
from tests import builders, command_line
from tests.passes import run_pass

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # each test runs commands in processes of their own


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Return the URI of a store with three blocks, a consumed claim and a claim that holds budget."""
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as client:
        client.create_blocks([builders.block("a", day=0), builders.block("b", day=1)])
        client.create_blocks([builders.block("r", builders.curve(1.0, 2.0), dataset="renyi")])
        client.allocate("ns", "paid", builders.allocate(0.25), timeout_seconds=5)
        client.mark_opened("ns/paid")
        client.consume("ns/paid")
        client.allocate("ns", "held", builders.allocate(0.5), timeout_seconds=5)
    return uri


def run(uri: str, *arguments: str, status: int = 0, refused: bool = False) -> str:
    """Return what a command prints: its result, also where it says that a run would be refused, or its error."""
    status = 3 if refused else status
    done = command_line.privatekube(*arguments, folder=ROOT, environment={connect.STORE: uri})
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 or refused else done.stderr


def test_blocks_as_json_are_a_list_in_wire_form(uri: str) -> None:
    document = json.loads(run(uri, "get", "blocks", "-o", "json"))
    assert (document["apiVersion"], document["kind"]) == ("v1", "List")
    first = document["items"][0]
    assert (first["apiVersion"], first["kind"]) == ("columbia.github.com/v1", "PrivateDataBlock")
    committed = {"ns/paid": {"epsDel": {"epsilon": 0.25, "delta": 0.0}}}
    assert first["status"]["committedBudgetMap"] == committed
    assert blocks.from_wire(first).spec.initial_budget == EpsilonDelta(1.0, 1e-7)


def test_claims_as_yaml_are_a_list_in_wire_form(uri: str) -> None:
    document = yaml.safe_load(run(uri, "get", "claims", "-o", "yaml"))
    assert [item["metadata"]["name"] for item in document["items"]] == ["paid", "held"]
    assert claims.from_wire(document["items"][1]).status.acquired["ns/a"] == EpsilonDelta(0.5)


def test_tables_answer_the_daily_questions(uri: str) -> None:
    block_table = run(uri, "get", "blocks")
    assert "epsilon 0.25" in block_table
    assert "25%" in block_table
    claim_table = run(uri, "get", "claims")
    assert "consumed" in claim_table
    assert "acquired" in claim_table
    assert len(claim_table.splitlines()) == 3


def test_one_object_is_found_by_name_or_by_namespace_and_name(uri: str) -> None:
    for arguments in (("a",), ("ns/a",), ("a", "-n", "ns")):
        document = json.loads(run(uri, "get", "block", *arguments, "-o", "json"))
        assert document["metadata"]["name"] == "a"
    assert json.loads(run(uri, "describe", "claim", "held", "-o", "json"))["kind"] == "PrivacyBudgetClaim"


def test_the_ledger_is_totalled_by_team_and_exported(uri: str) -> None:
    (total,) = json.loads(run(uri, "ledger", "--by", "team", "-o", "json"))["totals"]
    assert (total["team"], total["blocks"], total["budget"]["epsDel"]["epsilon"]) == ("not stated", 2, 0.25)
    assert run(uri, "ledger", "-o", "csv").startswith("sequence,time,dataset,block,claim,requestedBy,team,purpose,")
    assert "not stated" in run(uri, "ledger", "--by", "purpose")
    assert "--verify: checks the whole ledger" in run(uri, "ledger", "--verify", "--by", "user", status=2)


def test_a_quota_is_set_listed_and_removed_and_plan_names_it(uri: str, tmp_path: Path) -> None:
    file = tmp_path / "claim.yaml"
    file.write_text(yaml.safe_dump(claims.to_wire(builders.claim())))
    given = ("--dataset", "d", "-n", "ns", "--share", "0.1")
    assert "all claims may have 0.1 of the budget" in run(uri, "quota", "set", "q", *given)
    assert "epsilon 0.75, delta 0 is committed or held on ns/a" in run(uri, "plan", str(file))
    (item,) = json.loads(run(uri, "quota", "list", "-o", "json"))["items"]
    assert item["spec"] == {"dataset": "d", "share": 0.1, "period": "lifetime"}
    assert "ns/q" in run(uri, "quota", "list")
    typo = ("quota", "set", "t", "--dataset", "typo", "--share", "1", "-n", "ns")
    done = command_line.privatekube(*typo, folder=ROOT, environment={connect.STORE: uri})
    assert (done.returncode, done.stderr) == (0, "warning: no block in ns is of dataset typo now; check its name\n")
    assert "namespace: 'Ns'" in run(uri, "quota", "set", "q", "--dataset", "d", "--share", "1", "-n", "Ns", status=2)
    assert "share: 2.0 must be 0 to 1" in run(uri, "quota", "set", "q", "--dataset", "d", "--share", "2", status=2)
    assert run(uri, "quota", "delete", "q", "-n", "ns") == "quota ns/q: removed\n"
    assert "quota ns/q: does not exist" in run(uri, "quota", "delete", "q", "-n", "ns", status=2)


def test_describe_shows_who_holds_what(uri: str) -> None:
    described = run(uri, "describe", "block", "a")
    for expected in ("acquired by ns/held", "committed by ns/paid", "initial", "file:///a", "startTime"):
        assert expected in described
    renyi = run(uri, "describe", "block", "r")
    assert "renyi at order 3" in renyi
    assert "order 2" not in renyi
    assert "alpha: 2.0" in run(uri, "describe", "block", "r", "-o", "yaml")
    claimed = run(uri, "describe", "claim", "paid")
    assert "committed on ns/a" in claimed
    assert "ConsumeRequest" in claimed


def test_describe_says_what_settles_a_claim_or_that_nothing_is_left_to_settle(uri: str) -> None:
    assert "its run, or else the policy's settle_within after its grant" in run(uri, "describe", "claim", "held")
    assert "nothing: it holds no budget" in run(uri, "describe", "claim", "paid")


def test_an_error_of_the_command_line_is_one_line_without_tabs(uri: str) -> None:
    refusal = run(uri, "get", status=2)
    assert refusal == "error: Missing argument 'kind'. Choose from: blocks, block, claims, claim, pb, pbc; see --help\n"


def test_settling_says_what_was_done_and_does_it_once(uri: str) -> None:
    assert run(uri, "settle", "held") == "ns/held: released\n"
    assert run(uri, "settle", "held") == "ns/held: nothing to settle\n"


def test_the_ledger_says_who_committed_what_and_can_be_verified(uri: str) -> None:
    entries = json.loads(run(uri, "ledger", "--block", "a", "-o", "json"))["entries"]
    assert [(entry["claim"], entry["budget"]["epsDel"]["epsilon"]) for entry in entries] == [("ns/paid", 0.25)]
    assert "ns/paid" in run(uri, "ledger", "--claim", "paid")
    assert "ns/paid" not in run(uri, "ledger", "--claim", "ns/held")
    assert "2 entries on the data of 2 blocks are unchanged and add up" in run(uri, "ledger", "--verify")


@pytest.mark.parametrize(("option", "kind"), [("--block", "block"), ("--claim", "claim")])
def test_the_ledger_of_an_unknown_name_is_not_an_empty_table(uri: str, option: str, kind: str) -> None:
    error = run(uri, "ledger", option, "typo", status=2)
    assert error.startswith(f"error: {kind} typo: neither exists nor is in the ledger")


def test_the_ledger_of_a_block_or_claim_that_committed_nothing_is_empty(uri: str) -> None:
    for options in (("--block", "r"), ("--claim", "ns/held")):
        assert json.loads(run(uri, "ledger", *options, "-o", "json")) == {"entries": []}


def test_the_ledger_of_a_deleted_block_is_shown(uri: str) -> None:
    with connect.connect(uri) as client:
        client.delete_block("ns", "a")
    assert "consumed" in run(uri, "ledger", "--block", "a")


def test_verifying_the_ledger_of_one_block_is_refused_rather_than_done_for_all(uri: str) -> None:
    assert "checks the whole ledger" in run(uri, "ledger", "--verify", "--block", "a", status=2)


def test_the_ledger_of_one_entry_is_counted_in_the_singular(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as client:
        client.create_blocks([builders.block("a")])
        client.allocate("ns", "paid", builders.allocate(0.25), timeout_seconds=5)
        client.consume("ns/paid")
    assert "1 entry on the data of 1 block is unchanged and adds up" in run(uri, "ledger", "--verify")


def test_the_ledger_shows_mechanisms_in_words_and_keeps_their_json(uri: str) -> None:
    event = events.to_json(events.poisson_gaussian(0.2, 10.0625, 75))
    odd = "[/red] noise :smile: [bold]"  # what a claimant may state as well
    with connect.connect(uri) as client:
        client.consume("ns/held", mechanisms=[event_text.stated("dp_train on train", event), odd])
    shown = run(uri, "ledger", "--claim", "held")
    text = "dp_train on train: Gaussian, noise multiplier 10.06, 75 steps at sampling rate 0.2"
    assert [line.rstrip().endswith(f"{text}; {odd}") for line in shown.splitlines()[1:]] == [True, True]
    entry, _ = json.loads(run(uri, "ledger", "--claim", "held", "-o", "json"))["entries"]
    assert json.loads(entry["mechanisms"][0].partition(": ")[2]) == event


WHERE = ("--set", "dataset=d", "--set", "namespace=ns")


def test_a_run_is_planned_and_nothing_is_charged(uri: str) -> None:
    where = WHERE
    before = run(uri, "get", "blocks", "-o", "json")
    assert "would be granted now, on 2 blocks: ns/a, ns/b" in run(uri, "plan", *where, "--set", "epsilon=0.25")
    refused = run(uri, "plan", *where, "--set", "epsilon=0.5", refused=True)
    assert "would be refused: block ns/a lacks budget: asked epsilon 0.5" in refused
    assert "would fit now: epsilon 0.25 (50.0% of it) with the same delta" in refused
    assert run(uri, "get", "blocks", "-o", "json") == before
    assert len(json.loads(run(uri, "get", "claims", "-o", "json"))["items"]) == 2


def test_a_plan_has_the_price_the_noise_of_each_step_what_is_left_and_how_many_such_runs_fit(uri: str) -> None:
    text = run(uri, "plan", *WHERE, "--set", "epsilon=0.1")
    for line in (
        "price on each block: epsilon 0.1, delta 1e-09",
        "noise of dp_preprocess: discrete Laplace, scale 200",
        "noise of dp_train: Gaussian, noise multiplier",
        "noise of dp_evaluate: discrete Laplace, scale",
        "optimizer sgd, learning_rate 1.58,",
        "left of ns/a: epsilon 0.25, delta 1e-07 before this run, epsilon 0.15, delta 9.9e-08 after it",
        "2 such runs fit in what is left of the blocks",
    ):
        assert line in text
    plan = json.loads(run(uri, "plan", *WHERE, "--set", "epsilon=0.1", "-o", "json"))
    assert plan["repetitions"] == 2
    assert plan["price"] == {"epsDel": {"epsilon": 0.1, "delta": 1e-9}}
    assert plan["plan"]["steps"]["dp_preprocess"]["scale"] == pytest.approx(200)
    assert plan["settings"]["learning_rate"] == 1.58
    for name, epsilon in (("leftBefore", 0.25), ("leftAfter", 0.15)):
        assert [left["epsDel"]["epsilon"] for left in plan[name].values()] == pytest.approx([epsilon, epsilon])


def test_a_plan_that_does_not_fit_says_what_is_left_before_it_and_that_it_is_too_little(uri: str) -> None:
    with connect.connect(uri) as client:
        client.set_policy(unlock="n=10")
        client.create_blocks([builders.block("w", dataset="waiting", day=2)])
    text = run(uri, "plan", "--set", "dataset=waiting", "--set", "namespace=ns", "--set", "epsilon=0.5")
    assert text.startswith("would wait\n")
    assert "when: after 4 more requests on its blocks, if they leave what they unlock" in text
    assert "left of ns/w: epsilon 1, delta 1e-07 before this run, epsilon 0.5, delta 9.9e-08 after it" in text
    text = run(uri, "plan", "--set", "dataset=waiting", "--set", "namespace=ns", "--set", "epsilon=0.15")
    assert "when: after 1 more request on its blocks, if it leaves what it unlocks" in text


def test_a_refused_plan_on_renyi_blocks_shows_one_order_of_each_budget(uri: str) -> None:
    refused = run(uri, "plan", "--set", "dataset=renyi", "--set", "namespace=ns", "--set", "epsilon=50", refused=True)
    (line,) = [line for line in refused.splitlines() if line.startswith("would be refused: ")]
    assert re.search(r"asked renyi \S+ at order (\d), left renyi \S+ at order \1;", line)
    assert re.search(r"left of ns/r: renyi \S+ at order \d before this run, too little for it", refused)


def test_a_plan_for_a_delta_above_what_the_blocks_hold_is_refused_with_exit_status_3(uri: str) -> None:
    refused = run(uri, "plan", *WHERE, "--set", "epsilon=0.1", "--set", "delta=1e-6", refused=True)
    assert "would be refused" in refused
    assert "such run" not in refused


def test_a_plan_that_no_noise_can_meet_is_refused_as_the_run_refuses_it(uri: str) -> None:
    line = run(uri, "plan", *WHERE, "--set", "epsilon=1e-300", status=2)
    assert line.startswith("error: ")
    assert len(line.splitlines()) == 1


def test_a_plan_file_is_solved_for_the_arguments_of_a_run(uri: str, tmp_path: Path) -> None:
    shipped = str(Path(__file__).parents[2] / "pipelines" / "plan.yaml")
    by_arguments = run(uri, "plan", *WHERE, "--set", "epsilon=0.1")
    noise = [line for line in by_arguments.splitlines() if line.startswith(("noise of", "price on"))]
    shown = run(uri, "plan", shipped, *WHERE, "--set", "epsilon=0.1")
    assert all(line in shown for line in noise)
    plan = json.loads(run(uri, "plan", shipped, *WHERE, "--set", "epsilon=0.1", "-o", "json"))["plan"]
    assert plan["steps"]["dp_preprocess"] == {
        "part": "all",
        "mechanism": "discrete_laplace",
        "scale": pytest.approx(200),
        "sensitivity": 1,
        "queries": 1,
    }
    assert plan["disjoint"] == ["train", "test"]


def test_the_price_of_a_search_is_shown_beside_that_of_one_trial(uri: str) -> None:
    planned = ("plan", "--set", "plan=pipelines/search.yaml", *WHERE, "--set", "epsilon=0.1")
    shown = run(uri, *planned, "--set", "hyperparameters={learning_rate: [2, 4]}")
    price = re.search(r"search of dp_train: epsilon (\S+); one trial alone: (\S+)", shown)
    assert price is not None
    assert 0 < float(price[2]) < float(price[1]) < 0.1
    assert "hyperparameters: {} has no values" in run(uri, *planned, status=2)


def test_the_plan_that_the_arguments_name_is_not_read_where_another_one_is_given(uri: str, tmp_path: Path) -> None:
    arguments = tmp_path / "arguments.yaml"
    shipped_arguments = (Path(__file__).parents[2] / "arguments.yaml").read_text()
    arguments.write_text(shipped_arguments.replace("plan: pipelines/plan.yaml", "plan: absent.yaml"))
    shipped = str(Path(__file__).parents[2] / "pipelines" / "plan.yaml")
    options = ("--arguments", str(arguments), *WHERE, "--set", "epsilon=0.1")
    assert "noise of dp_train" in run(uri, "plan", shipped, *options)
    assert "absent.yaml" in run(uri, "plan", *options, status=2)


def test_a_pipeline_checks_its_runs_by_a_module_in_the_folder_that_the_command_is_started_in(
    uri: str, tmp_path: Path
) -> None:
    (tmp_path / "own_check.py").write_text(
        "import pydantic\nfrom privatekube import errors\n"
        "class Settings(pydantic.BaseModel):\n    size: int = pydantic.Field(ge=1)\n"
        "def check(run):\n"
        "    if run.arguments.settings['size'] > len(run.blocks):\n"
        "        raise errors.invalid('size', run.arguments.settings['size'], 'is above the blocks', 'lower it')\n"
    )
    (tmp_path / "plan.yaml").write_text("steps: [{name: a, mechanism: laplace, sensitivity: $size}]")
    values = "check: own_check\nplan: plan.yaml\nsize: 2\nepsilon: 0.1\ndataset: d\nnamespace: ns\n"
    (tmp_path / "arguments.yaml").write_text(values)
    script = Path(sys.executable).with_name("privatekube")

    def planned(*options: str) -> subprocess.CompletedProcess[str]:
        words, env = [str(script), "plan", *options], {**os.environ, connect.STORE: uri}
        return subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=env, check=False)

    assert "noise of a: Laplace, scale 20, sensitivity 2" in planned().stdout
    for setting, fault in (
        ("size=3", "error: size: 3 is above the blocks; lower it"),
        ("size=0", "error: --set: size: 0 must be greater than or equal to 1; change it"),
        ("sise=1", "error: --set: sise: unknown argument; did you mean size?"),
        (
            "check=other",
            "error: check: 'other' cannot be imported (ModuleNotFoundError: No module named 'other'); name a",
        ),
    ):
        refused = planned("--set", setting)
        assert (refused.returncode, refused.stderr.splitlines()[0][: len(fault)]) == (2, fault)


def test_a_budget_without_a_plan_is_shown_at_its_price(uri: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("demand: {epsDel: {epsilon: 0.2, delta: 1e-9}}")
    text = run(uri, "plan", str(path), *WHERE)
    assert "price on each block: epsilon 0.2, delta 1e-09" in text
    assert "noise of" not in text
    path.write_text("demand: {renyi: [{alpha: 2, epsilon: 0.1}]}")
    assert "would be refused" in run(uri, "plan", str(path), *WHERE, refused=True)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("steps: [{name: a, mechanism: magic}]", "step a: mechanism: 'magic' is unknown"),
        ("steps: [{name: a, mechanism: gaussian, sensitivity: 1, share: 2}]", "step a: share: 2 must be"),
        (
            "steps: [{name: a, mechanism: gaussian, sensitivity: 1}, {name: a, mechanism: gaussian, sensitivity: 1}]",
            "steps: 'a' is given twice",
        ),
        ("steps: [{name: a, mechanism: gaussian, sensitivity: 1, part: x}]", "part: 'x' of step a is not declared"),
        ("steps: [{name: a, mechanism: event, event: {type: gaussian, noise_multiplier: 0.1}}]", "is below"),
    ],
)
def test_a_plan_file_that_is_wrong_is_refused_in_one_line_and_nothing_is_charged(
    uri: str, tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    before = run(uri, "get", "blocks", "-o", "json")
    line = run(uri, "plan", str(path), *WHERE, status=2)
    assert line.startswith("error: ")
    assert fault in line
    assert len(line.splitlines()) == 1
    assert run(uri, "get", "blocks", "-o", "json") == before


def test_a_claim_is_planned_from_its_manifest(uri: str, tmp_path: Path) -> None:
    manifest = tmp_path / "claim.yaml"
    manifest.write_text(yaml.safe_dump(claims.to_wire(builders.claim("c", builders.allocate(0.3, blocks=1)))))
    forecast = json.loads(run(uri, "plan", str(manifest), "-o", "json", refused=True))
    assert forecast["granted"] is False
    assert forecast["shortages"][0]["component"] == "epsilon"
    manifest.write_text(yaml.safe_dump(blocks.to_wire(builders.block())))
    assert run(uri, "plan", str(manifest), status=2).startswith("error: ")
    assert "cannot be read" in run(uri, "plan", str(tmp_path / "nothing.yaml"), status=2)


def test_a_claim_is_explained(uri: str) -> None:
    assert "it was granted as requested, on 2 blocks: ns/a, ns/b" in run(uri, "explain", "held")
    with connect.connect(uri) as client:
        client.store.create(builders.claim("c", builders.allocate(0.5)))
        run_pass(client)
    text = run(uri, "explain", "c")
    assert "block ns/a lacks epsilon: asked 0.5, available 0.25, still locked 0" in text
    assert "only if a claim releases what it holds: ns/held" in text
    assert json.loads(run(uri, "explain", "c", "-o", "json"))["fittingShare"] == pytest.approx(0.5, rel=1e-4)
    assert "does not exist" in run(uri, "explain", "nobody", status=2)


def test_a_forecast_says_when_datasets_and_blocks_run_out(uri: str) -> None:
    listed = json.loads(run(uri, "forecast", "-o", "json"))
    dataset, unspent = listed["forecasts"]
    assert (listed["days"], dataset["name"], dataset["blocks"], dataset["left"]) == (30, "d", 2, 0.25)
    assert dataset["earliest"] < dataset["at"] < dataset["latest"]
    assert unspent.keys() == {"kind", "namespace", "name", "left", "spentPerDay", "earliest", "words", "blocks"}
    table = run(uri, "forecast", "d", "--days", "7")
    assert table.count(f"about {dataset['at'][:10]} (95 %: {dataset['earliest'][:10]} to ") == 2
    assert "not before" in run(uri, "forecast", "renyi")
    assert "dataset nothing: has no blocks" in run(uri, "forecast", "nothing", status=2)
    assert "--days" in run(uri, "forecast", "--days", "0", status=2)


def test_a_scenario_is_replayed(uri: str) -> None:
    file = str(ROOT / "tests" / "samples" / "scenarios" / "online-eps-1block-236.json.gz")
    played = json.loads(run(uri, "simulate", file, "--unlock", "n=100", "--order", "dpf", "-o", "json"))
    assert played["granted_count"] == len(played["granted"]) == len(played["grant_time"]) == 82
    assert played["blocks"]["0"]["used"]["epsDel"]["epsilon"] == pytest.approx(1.0)
    assert "82 of 260 claims" in run(uri, "simulate", file, "--unlock", "n=100", "--order", "dpf")


def test_the_policy_is_shown_and_changed(uri: str) -> None:
    assert "unlock: all" in run(uri, "policy")
    assert "unlock: n=7" in run(uri, "policy", "--unlock", "n=7", "--order", "fcfs", "--default-timeout", "60")
    assert "default_timeout_ms: 60000" in run(uri, "policy")
    assert "settle_within_ms: 7200000" in run(uri, "policy", "--settle-within", "2h")
    assert "longest_timeout_ms: 10800000" in run(uri, "policy", "--longest-timeout", "3h")
    assert "waiting_per_block: 7" in run(uri, "policy", "--waiting-per-block", "7")
    assert "waiting_per_namespace: 8" in run(uri, "policy", "--waiting-per-namespace", "8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("get", "block", "zzz"), "block zzz: does not exist"),
        (("settle", "zzz"), "claim zzz: does not exist"),
        (("get", "pods"), "pods"),
        (("policy", "--unlock", "n=0"), "n=0"),
        (("policy", "--order", "lottery"), "'lottery' is unknown; use one of"),
        (("--store", "mysql://x", "get", "blocks"), "--store: 'mysql://x' is not a store"),
        (("policy", "--unlock", "slow"), "unlock: 'slow' is unknown; use all, n=<N> or t="),
        (("policy", "--unlock", "t"), "unlock: 't' leaves out its numbers"),
        (("policy", "--unlock", "t="), "unlock: 't=' leaves out its numbers"),
        (("plan", "--set", "epsilon=0"), "--set: epsilon: 0 must be greater than 0"),
        (("get", "blocks", "-o", "xml"), "xml"),
        (("policy", "--order", "rr"), "'rr' with unlock 'all'"),
        (("simulate", "/nowhere.json"), "cannot be read"),
        (("init", "components"), "directory: 'components' is not empty; name one that does not exist"),
        (("init", "README.md"), "README.md"),
        (("component", "check", "docs"), "component: 'docs' holds no component.yaml; generate it"),
        (("component", "generate", "docs"), "component: 'docs' has no __main__.py"),
        (("lint", "arguments.yaml"), "arguments.yaml: has no root, so it is not a compiled pipeline; compile the"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(uri: str, arguments: tuple[str, ...], expected: str) -> None:
    line = run(uri, *arguments, status=2)
    assert line.startswith("error: ")
    assert len(line.splitlines()) == 1
    assert expected in line


@pytest.mark.parametrize(("kind", "bad", "rest"), [("block", "a", {"b", "r"}), ("claim", "held", {"paid"})])
def test_what_cannot_be_read_is_told_in_one_line_and_the_others_are_listed(
    uri: str, kind: str, bad: str, rest: set[str]
) -> None:
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as db, db:
        db.execute("UPDATE resources SET body = '{' WHERE kind = ? AND id = ?", (kind, f"ns/{bad}"))
    done = subprocess.run(  # not `run`: pytest takes the log of its own process
        [sys.executable, "-m", "privatekube.cli", "get", f"{kind}s", "-o", "json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, connect.STORE: uri},
        check=True,
    )
    assert {item["metadata"]["name"] for item in json.loads(done.stdout)["items"]} == rest
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{kind} ns/{bad} is left out: {kind}: is not JSON")
    assert f"{kind} ns/{bad}: cannot be read" in run(uri, "ledger", "--verify", status=2)


@pytest.mark.parametrize(("image", "status", "rules"), [("a@sha256:" + "0" * 64, 0, []), ("a", 1, ["mutable-image"])])
def test_a_pipeline_is_checked_for_people_and_for_programs(
    uri: str, tmp_path: Path, image: str, status: int, rules: list[str]
) -> None:
    package = {
        "components": {"comp-a": {"executorLabel": "exec-a"}},
        "deploymentSpec": {"executors": {"exec-a": {"container": {"image": image}}}},
        "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}}}}},
        "schemaVersion": "2.1.0",
    }
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(package))
    command = ("lint", str(tmp_path / "pipeline.yaml"))
    table = command_line.privatekube(*command, folder=ROOT, environment={})
    assert (table.returncode, table.stderr) == (status, "")
    assert table.stdout.splitlines()[-2:] == ["pays: no step", f"1 step, {summary.number_of(len(rules), 'finding')}"]
    document = command_line.privatekube(*command, "--output", "json", folder=ROOT, environment={})
    assert document.returncode == status
    assert [finding["rule"] for finding in json.loads(document.stdout)["findings"]] == rules
    assert all(f"docs/lint.md#{rule}" in table.stdout for rule in rules)


@pytest.fixture
def forgotten_program() -> Iterator[None]:
    """Forget the program that a test's commands imported into this process: other tests import the example itself."""
    yield
    for name in ("my_component", "my_component.__main__"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("forgotten_program")
def test_a_component_file_is_checked_and_written(uri: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "my_component", tmp_path / "my_component")
    path = tmp_path / "my_component" / "component.yaml"
    current = path.read_text()
    folder = str(path.parent)
    assert run(uri, "component", "check", folder) == ""
    path.write_text(current.replace("Dataset", "Model"))
    command = [sys.executable, "-m", "privatekube.cli", "component", "check", folder]
    stale = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (stale.returncode, stale.stderr) == (1, "")
    assert stale.stdout == f"{path}: is not what the program says; privatekube component generate {folder}\n"
    assert run(uri, "component", "generate", folder) == f"wrote {path}\n"
    assert path.read_text() == current


def test_the_version_is_printed(uri: str) -> None:
    assert run(uri, "--version").strip() == "0.1.0"


def test_every_command_is_documented() -> None:
    text = (ROOT / "README.md").read_text()
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__
        name = command.callback.__name__.replace("_", "-")
        assert f"privatekube {name}" in text
    pages = "".join(page.read_text() for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            assert command.callback.__doc__
            name = command.name or command.callback.__name__.replace("_", "-")
            assert f"privatekube {group.name} {name}" in pages
