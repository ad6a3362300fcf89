"""Components write lines from an allow-list, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from privatekube.steps import public_log

ROOT = Path(__file__).resolve().parents[2]


def test_an_allowed_line_is_written_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    public_log.say("training", done=3, total=60)
    assert capsys.readouterr().out == "noisy step 3 of 60\n"


def test_a_line_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(KeyError):
        public_log.say("loss", value=0.3)
    with pytest.raises(KeyError):
        public_log.say("training", loss=0.3)


def test_every_message_is_used_and_no_component_writes_in_another_way() -> None:
    messages = set()
    for path in [*ROOT.glob("components/*/__main__.py"), ROOT / "privatekube" / "steps" / "dp_step.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in {"print", "logging.info", "sys.stdout.write", "sys.stderr.write"}
                if name == "public_log.say":
                    assert isinstance(node.args[0], ast.Constant)
                    messages.add(node.args[0].value)
    assert messages | {"waiting"} == set(public_log.MESSAGES)
