from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from privatekube import errors
from privatekube.training import checkpoint, models
from tests.training import builders

READ_WITHOUT_THE_PACKAGE = """
import json, sys, torch
content = torch.load(sys.argv[1], weights_only=True)
about = json.loads(content["about"])
lstm = torch.nn.LSTM(about["config"]["embedding_dim"], about["config"]["hidden_dim"])
lstm.load_state_dict({k.removeprefix("lstm."): v for k, v in content["state"].items() if k.startswith("lstm.")})
assert not any(name.startswith("privatekube") for name in sys.modules)
print(about["task"], about["vocabulary_digest"])
"""


def saved(folder: Path, architecture: str = "lstm") -> tuple[Path, models.Classifier, str]:
    config, path = builders.config(architecture), folder / "model.pt"
    module = models.build(config, 5)
    return path, module, checkpoint.save(path, module, config, task="product", vocabulary_digest="sha256:ab")


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_a_model_comes_back_as_it_was(architecture: str, tmp_path: Path) -> None:
    path, module, digest = saved(tmp_path, architecture)
    loaded = checkpoint.load(path)
    assert (loaded.config, loaded.task, loaded.vocabulary_digest) == (
        builders.config(architecture), "product", "sha256:ab"
    )  # fmt: skip
    assert loaded.digest == digest
    tokens, lengths, _ = builders.batch(4)
    torch.testing.assert_close(loaded.module(tokens, lengths)[0], module(tokens, lengths)[0], rtol=0, atol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_what_a_search_found_is_told_with_the_weights(tmp_path: Path) -> None:
    _, module, digest = saved(tmp_path)
    about = {"task": "product", "vocabulary_digest": "sha256:ab"}
    content, other = checkpoint.encode(module, builders.config(), **about, found={"learning_rate": 4.0})
    (tmp_path / "found.pt").write_bytes(content)
    assert checkpoint.load(tmp_path / "found.pt").found == {"learning_rate": 4.0}
    assert checkpoint.load(tmp_path / "model.pt").found == {}
    assert other != digest


@pytest.mark.slow
def test_torch_alone_reads_it_with_weights_only(tmp_path: Path) -> None:
    path, _, _ = saved(tmp_path)
    command = [sys.executable, "-c", READ_WITHOUT_THE_PACKAGE, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout == "product sha256:ab\n"


def test_the_digest_depends_on_the_weights_and_on_what_is_told_about_them(tmp_path: Path) -> None:
    _, module, digest = saved(tmp_path)
    other = checkpoint.save(tmp_path / "b", module, builders.config(), task="sentiment", vocabulary_digest="sha256:ab")
    with torch.no_grad():
        module.output.bias[0] += 1  # type: ignore[union-attr, operator, index]
    third = checkpoint.save(tmp_path / "c", module, builders.config(), task="product", vocabulary_digest="sha256:ab")
    assert len({digest, other, third}) == 3


@pytest.mark.parametrize("place", [0, 10, 200, 1000, -400, -1])
def test_an_altered_or_truncated_file_is_refused_in_one_line(place: int, tmp_path: Path) -> None:
    path, _, _ = saved(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:place])
    with pytest.raises(errors.CorruptData, match=r"^checkpoint: [^\n]*$"):
        checkpoint.load(path)


def test_an_altered_weight_is_refused(tmp_path: Path) -> None:
    path, _, _ = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    content["state"]["output.bias"][0] += 1
    torch.save(content, path)
    with pytest.raises(errors.CorruptData, match="digest"):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None, [1, 2], {"about": 3}, torch.zeros(3)])
def test_anything_else_is_refused_in_one_line(content: object, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(errors.CorruptData, match=r"^checkpoint: [^\n]*$"):
        checkpoint.load(path)


class Exploit:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


def test_no_code_of_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"about": Exploit()}, tmp_path / "model.pt")
    with pytest.raises(errors.CorruptData):
        checkpoint.load(tmp_path / "model.pt")
    assert capsys.readouterr().out == ""


def test_a_path_that_cannot_be_written_to_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.Permanent, match=r"^file: [^\n]*$"):
        saved(tmp_path / "file")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
