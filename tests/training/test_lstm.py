from __future__ import annotations

import pytest
import torch
from torch import nn

from privatekube.training import clipping, lstm
from tests.training import builders


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 9, 5, 6), (3, 40, 8, 4)])
def test_hidden_states_and_pre_activation_gradients_are_those_of_the_stock_lstm(
    shape: tuple[int, int, int, int], dtype: torch.dtype, tolerance: float
) -> None:
    size, steps, inputs, hidden = shape
    torch.manual_seed(0)
    stock = nn.LSTM(inputs, hidden, batch_first=True).to(dtype)
    layer = lstm.LSTM(inputs, hidden).to(dtype)
    layer.load_state_dict(stock.state_dict())
    x = torch.randn(size, steps, inputs, dtype=dtype, requires_grad=True)
    weights = torch.randn(size, steps, hidden, dtype=dtype)

    wanted, _ = stock(x)
    got, taps = layer(x, torch.full((size,), steps))
    torch.testing.assert_close(got, wanted, atol=tolerance, rtol=tolerance)

    parameters = [stock.get_parameter(name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")]
    gradients = torch.autograd.grad((wanted * weights).sum(), [x, *parameters])
    (tap,) = taps
    assert isinstance(tap, clipping.RecurrentTap)
    d_x, delta = torch.autograd.grad((got * weights).sum(), [x, tap.outputs])
    formed = [torch.einsum("bti,btj->ij", delta, z) for z in (tap.inputs, tap.hidden[:, :-1])]
    for ours, theirs in zip([d_x, *formed, delta.sum((0, 1))], gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance * 10, rtol=tolerance * 10)


def test_the_state_loads_into_the_stock_lstm() -> None:
    layer = lstm.LSTM(3, 2)
    assert layer.state_dict().keys() == nn.LSTM(3, 2).state_dict().keys()
    nn.LSTM(3, 2).load_state_dict(layer.state_dict())


def test_the_classifier_reads_the_last_real_token_and_never_what_follows() -> None:
    module = builders.model("lstm")
    tokens, lengths, _ = builders.batch(8)
    logits, _ = module(tokens, lengths)
    changed = tokens.clone()
    changed[torch.arange(tokens.shape[1]) >= lengths.unsqueeze(1)] = 3
    torch.testing.assert_close(module(changed, lengths)[0], logits)
    for i in range(len(tokens)):
        alone, _ = module(tokens[i : i + 1, : lengths[i]], lengths[i : i + 1])
        torch.testing.assert_close(alone[0], logits[i])
        other = tokens[i : i + 1].clone()
        other[0, lengths[i] - 1] = 25
        assert not torch.allclose(module(other, lengths[i : i + 1])[0][0], logits[i])


def test_nothing_is_kept_for_a_backward_pass_where_gradients_are_off() -> None:
    with torch.no_grad():
        hidden, _ = lstm.LSTM(3, 2)(torch.randn(2, 4, 3), torch.tensor([4, 4]))
    assert hidden.grad_fn is None
