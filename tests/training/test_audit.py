"""An attack on training as a whole, to bound from below what it leaks.

Reviews that an adversary planted are in the data or not, by a coin each; it guesses which from the model. Steinke et
al., "Privacy Auditing with One (1) Training Run", 2023.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from privatekube.privacy import accounting
from privatekube.training import clipping, dpsgd, models, randomness
from privatekube.training.lstm_steps import choice

CANARIES = 30_000
CONFIDENCE = 1 - 1e-6
DELTA = 1e-5
LEARNING_RATE = 1e-3
NOISE_OF_EPSILON_1 = 3.7306
"""Of one step on all canaries, at DELTA."""


def correct_guesses(
    *, noise_multiplier: float, sampling_rate: float = 1.0, steps: int = 1, clips_to: float = 1.0
) -> tuple[int, float]:
    """Train on about half of the canaries, guess each; how many were right, and the epsilon claimed for a norm of 1."""
    config = models.ModelConfig(
        architecture="bow", vocab_size=CANARIES, max_text_len=1, embedding_dim=2, hidden_dim=1, n_classes=2
    )
    module = models.build(config, 0).double()
    module.use(choice.choose(torch.device("cpu")).path)
    assert isinstance(module, models.BagOfWords)
    with torch.no_grad():  # a canary's gradient lies in the embedding of a word of its own
        module.embedding.weight.zero_()
        module.output.weight.copy_(torch.tensor([[50.0, 0.0], [-50.0, 0.0]]))
    generator = randomness.SecureGenerator()
    planted = generator.mask(CANARIES, 0.5)
    optimizer = dpsgd.DpSgdOptimizer(
        torch.optim.SGD(module.parameters(), lr=LEARNING_RATE),
        noise_multiplier=noise_multiplier,
        max_grad_norm=1.0,
        sampling_rate=sampling_rate,
        expected_batch_size=1.0,
        generator=generator,
    )
    for _ in range(steps):
        tokens = torch.from_numpy(np.flatnonzero(planted & generator.mask(CANARIES, sampling_rate))).unsqueeze(1)
        logits, taps = module(tokens, torch.ones(len(tokens), dtype=torch.int64))
        loss = nn.functional.cross_entropy(logits, torch.zeros(len(tokens), dtype=torch.int64), reduction="sum")
        optimizer.take(clipping.clipped_sums(loss, taps, units=len(tokens), max_grad_norm=clips_to))
    moved = module.embedding.weight.detach()[:, 0].numpy() / LEARNING_RATE
    guesses = moved > 0.5 * steps * sampling_rate
    return int((guesses == planted).sum()), accounting.epsilon(optimizer.event(), DELTA)


def leaked(correct: int) -> float:
    """The largest epsilon that this many right guesses refute."""
    rate = stats.binomtest(correct, CANARIES, alternative="greater").proportion_ci(CONFIDENCE).low
    return float(np.log(rate / (1 - rate)))


@pytest.mark.slow
def test_training_leaks_no_more_than_it_claims() -> None:
    for noise_multiplier, sampling_rate, steps in ((1.0, 1.0, 1), (0.7, 0.5, 4)):
        correct, claimed = correct_guesses(noise_multiplier=noise_multiplier, sampling_rate=sampling_rate, steps=steps)
        assert 0 < leaked(correct) < claimed


@pytest.mark.slow
def test_an_attack_refutes_a_claim_whose_noise_was_ten_times_too_small() -> None:
    correct, _ = correct_guesses(noise_multiplier=0.1)
    _, claimed = correct_guesses(noise_multiplier=1.0)
    assert leaked(correct) > claimed


@pytest.mark.slow
def test_an_attack_at_epsilon_one_stays_below_the_claim_and_refutes_it_once_clipping_is_switched_off() -> None:
    correct, claimed = correct_guesses(noise_multiplier=NOISE_OF_EPSILON_1)
    assert claimed == pytest.approx(1.0, abs=0.01)
    assert 0 < leaked(correct) < claimed
    correct, _ = correct_guesses(noise_multiplier=NOISE_OF_EPSILON_1, clips_to=float("inf"))
    assert leaked(correct) > claimed
