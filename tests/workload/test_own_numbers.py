"""Random numbers of one's own: the same each time, and torch's are not touched in view of other threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nemo_lab.workload.own_numbers import OwnNumbers

X = torch.arange(1.0, 385.0).reshape(2, 3, 8, 8)
DRAW: dict[str, Callable[[], Tensor]] = {
    "dropout": lambda: torch.dropout(X, 0.5, True),
    "native_dropout": lambda: torch.native_dropout(X, 0.5, True)[0],
    "feature_dropout": lambda: torch.feature_dropout(X, 0.5, True),
    "alpha_dropout": lambda: torch.alpha_dropout(X, 0.5, True),
    "feature_alpha_dropout_": lambda: torch.feature_alpha_dropout_(X.clone(), 0.5, True),
    "attention": lambda: nn.functional.scaled_dot_product_attention(X, X, X, dropout_p=0.5),
    "lstm": lambda: nn.LSTM(8, 4, 2, dropout=0.5)(X[0])[0],
    "gru": lambda: nn.GRU(8, 4, 2, dropout=0.5)(X[0])[0],
    "rnn": lambda: nn.RNN(8, 4, 2, dropout=0.5)(X[0])[0],
    "rrelu": lambda: nn.functional.rrelu(-X, training=True),
    "normal": lambda: torch.normal(X, X),
    "randperm": lambda: torch.randperm(99),
    "fractional pool": lambda: nn.functional.fractional_max_pool2d(X, 2, 5),
}
NO_GENERATOR: dict[str, Callable[[], Tensor]] = {  # nor made of others that take one
    "native_dropout.out": lambda: torch.ops.aten.native_dropout.out(
        X, 0.5, True, out0=torch.empty_like(X), out1=torch.empty_like(X, dtype=torch.bool)
    )[0],
}


def twice(draw: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    with OwnNumbers():
        return draw(), draw()


def check_own_numbers(draw: Callable[[], Tensor], mode: Any) -> None:
    """Two draws differ, the same come again, and torch's own numbers are where they were."""
    before = torch.get_rng_state()
    with mode():
        first, second = twice(draw)
        again = twice(draw)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_all_that_draws_leaves_the_process_its_numbers(
    draw: Callable[[], Tensor], mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise AssertionError("other threads would see that")

    torch.manual_seed(7)
    for place in (torch, torch.random, torch.cuda):
        for name in ("manual_seed", "manual_seed_all", "set_rng_state"):
            monkeypatch.setattr(place, name, refuse, raising=False)
    check_own_numbers(draw, mode)


@pytest.mark.parametrize("draw", NO_GENERATOR.values(), ids=NO_GENERATOR)
def test_what_takes_no_generator_draws_alone_and_puts_back_what_it_took(
    draw: Callable[[], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    torch.manual_seed(7)
    seeded.clear()
    check_own_numbers(draw, torch.no_grad)
    assert seeded == []


def test_dropout_by_hand_is_torchs_dropout() -> None:
    with OwnNumbers():
        values, kept = torch.native_dropout(X, 0.25, True)
        off, all_kept = torch.native_dropout(X, 0.25, False)
        nothing, _ = torch.native_dropout(X, 1.0, True)
    assert torch.allclose(values, X * kept / 0.75)
    assert kept.dtype == torch.bool
    assert 0 < int(kept.sum()) < X.numel()
    assert torch.equal(off, X)
    assert all_kept.all()
    assert not nothing.any()
