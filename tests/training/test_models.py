from __future__ import annotations

import pytest
import torch

from privatekube import errors
from privatekube.training import models
from tests.training import builders


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_the_same_seed_gives_the_same_initial_weights_and_another_seed_others(architecture: str) -> None:
    config = builders.config(architecture)
    first = models.build(config, 3).state_dict()
    torch.manual_seed(99)
    again, other = models.build(config, 3).state_dict(), models.build(config, 4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert architecture.startswith(("linear", "bow on")) or any(
        not torch.equal(first[name], other[name]) for name in first
    )


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_initial_weights_leave_the_generator_of_torch_alone(architecture: str) -> None:
    before = torch.get_rng_state()
    models.build(builders.config(architecture), 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_padding_has_no_effect_on_the_logits(architecture: str) -> None:
    module = builders.model(architecture)
    tokens, lengths, _ = builders.batch(6)
    logits, _ = module(tokens, lengths)
    assert logits.shape == (6, 4)
    for i, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(module(tokens[i : i + 1, :length], lengths[i : i + 1])[0][0], logits[i])


def test_a_text_without_known_words_is_classified_by_the_bias_alone_and_has_a_finite_gradient() -> None:
    for kind in ("linear", "linear on vectors", "bow on vectors", "lstm on vectors", "linear on trained vectors"):
        module = builders.model(kind)
        logits, _ = module(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([3]))
        gradients = torch.autograd.grad(logits.sum(), [p for p in module.parameters() if p.ndim == 1][-1:])
        torch.testing.assert_close(logits[0], list(module.parameters())[-1])
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_vectors_are_read_and_neither_trained_nor_drawn() -> None:
    shape = builders.config("lstm on vectors")
    given = builders.vectors(shape)
    assert given is not None
    module = models.build(shape, 3, given)
    assert torch.equal(module.get_buffer("vectors.weight"), given)
    assert "vectors.weight" not in dict(module.named_parameters())


@pytest.mark.parametrize("architecture", sorted(models.ON_VECTORS))
def test_a_model_that_trains_its_vectors_starts_as_one_that_does_not(architecture: str) -> None:
    tokens, lengths, _ = builders.batch(6)
    logits = []
    for kind in (f"{architecture} on vectors", f"{architecture} on trained vectors"):
        shape = builders.config(kind)
        module = models.build(shape, 3, builders.vectors(shape))
        module.get_parameter("head.weight").data.fill_(0.5)
        logits.append(module(tokens, lengths)[0])
    torch.testing.assert_close(*logits)


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
