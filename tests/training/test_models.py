from __future__ import annotations

import pytest
import torch

from privatekube import errors
from privatekube.training import models
from tests.training import builders

ARCHITECTURES = sorted(models.ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_gives_the_same_initial_weights_and_another_seed_others(architecture: str) -> None:
    config = builders.config(architecture)
    first = models.build(config, 3).state_dict()
    torch.manual_seed(99)
    again, other = models.build(config, 3).state_dict(), models.build(config, 4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert architecture == "linear" or not torch.equal(first["embedding.weight"], other["embedding.weight"])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initial_weights_leave_the_generator_of_torch_alone(architecture: str) -> None:
    before = torch.get_rng_state()
    models.build(builders.config(architecture), 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_has_no_effect_on_the_logits(architecture: str) -> None:
    module = builders.model(architecture)
    tokens, lengths, _ = builders.batch(6)
    logits, _ = module(tokens, lengths)
    assert logits.shape == (6, 4)
    for i, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(module(tokens[i : i + 1, :length], lengths[i : i + 1])[0][0], logits[i])


@pytest.mark.parametrize(
    ("name", "value"),
    [("architecture", "bert"), ("vocab_size", 0), ("n_classes", 1), ("hidden_dim", 1.5), ("embedding_dim", True)],
)
def test_a_model_that_cannot_be_is_refused(name: str, value: object) -> None:
    sizes: dict[str, object] = {
        "architecture": "lstm", "vocab_size": 9, "max_text_len": 9, "embedding_dim": 9, "hidden_dim": 9, "n_classes": 9
    }  # fmt: skip
    with pytest.raises(errors.InvalidInput, match="model" if name == "architecture" else name):
        models.ModelConfig(**(sizes | {name: value}))  # type: ignore[arg-type]
