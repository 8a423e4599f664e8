"""The affine quantizer: docs/method.md, section 2 by hand and by property."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab.quantize.affine import Affine, affine, fake_quantize
from nemo_lab.quantize.weights import quantize_weight


@pytest.mark.parametrize(
    ("minimum", "maximum", "bits", "expected"),
    [
        # s = 3 / 3 = 1, z = round(-2 + 1) = -1, q in [-2, 1], q - z in [-1, 2]
        (-1.0, 2.0, 2, Affine(1.0, -1, 2)),
        # s = 255 / 255 = 1, z = -128, q - z in [0, 255]
        (0.0, 255.0, 8, Affine(1.0, 0, 255)),
        # s = 30 / 15 = 2, z = round(-8 + 5) = -3, q - z in [-5, 10]
        (-10.0, 20.0, 4, Affine(2.0, -5, 10)),
        # the range grows to contain 0: s = 7 / 7 = 1, z = -4, q - z in [0, 7]
        (3.0, 7.0, 3, Affine(1.0, 0, 7)),
        # and downwards: s = 1, z = round(-4 + 7) = 3, q - z in [-7, 0]
        (-7.0, -3.0, 3, Affine(1.0, -7, 0)),
        # no extent: zero stays zero
        (0.0, 0.0, 2, Affine(1.0, 0, 3)),
    ],
)
def test_quantizers_by_hand(minimum: float, maximum: float, bits: int, expected: Affine) -> None:
    assert affine(minimum, maximum, bits) == expected


def test_values_by_hand() -> None:
    # s = 1, levels -1, 0, 1, 2: below and above are clipped, halves go to the even neighbour
    x = torch.tensor([-5.0, -1.0, -0.6, -0.4, 0.0, 0.5, 1.2, 1.5, 2.0, 9.0])
    assert fake_quantize(x, -1, 2, 2).tolist() == [-1, -1, -1, 0, 0, 0, 1, 2, 2, 2]
    # s = 2, levels -10, -8, ..., 20
    x = torch.tensor([-11.0, -9.2, 0.9, 3.1, 20.5])
    assert fake_quantize(x, -10, 20, 4).tolist() == [-10, -10, 0, 4, 20]


def test_weights_use_their_own_range_and_stay_untouched() -> None:
    weight = torch.tensor([[-1.0, 0.3], [0.6, 2.0]])
    assert quantize_weight(weight, 2).tolist() == [[-1, 0], [1, 2]]
    assert weight.tolist() == torch.tensor([[-1.0, 0.3], [0.6, 2.0]]).tolist()


@st.composite
def cases(draw: st.DrawFn) -> tuple[torch.Tensor, float, float, int]:
    ends = st.floats(-1e3, 1e3, allow_nan=False, width=32)
    minimum, maximum = sorted([draw(ends), draw(ends)])
    shares = draw(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50))
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    if high - low < 1e-3:
        high = low + 1e-3
    x = torch.tensor([low + share * (high - low) for share in shares])
    return x.clamp(low, high), low, high, draw(st.integers(2, 8))


@given(cases())
def test_zero_is_exact_and_levels_are_few(case: tuple[torch.Tensor, float, float, int]) -> None:
    x, low, high, bits = case
    assert fake_quantize(torch.zeros(3), low, high, bits).tolist() == [0, 0, 0]
    dense = torch.linspace(low - 1, high + 1, 5000)
    assert len(fake_quantize(dense, low, high, bits).unique()) <= 2**bits
    assert len(fake_quantize(x, low, high, bits).unique()) <= 2**bits


@given(cases())
def test_error_inside_the_range_is_at_most_half_a_step(
    case: tuple[torch.Tensor, float, float, int],
) -> None:
    x, low, high, bits = case
    step = (high - low) / (2**bits - 1)
    error = (fake_quantize(x, low, high, bits).double() - x.double()).abs().max().item()
    assert error <= step / 2 + 1e-5 * (high - low)


@given(cases())
def test_quantizing_twice_changes_nothing(case: tuple[torch.Tensor, float, float, int]) -> None:
    x, low, high, bits = case
    once = fake_quantize(x, low, high, bits)
    assert torch.equal(fake_quantize(once, low, high, bits), once)


@given(cases())
def test_it_is_the_formula_of_the_method(case: tuple[torch.Tensor, float, float, int]) -> None:
    x, low, high, bits = case
    s = (high - low) / (2**bits - 1)
    z = np.round(-(2 ** (bits - 1)) - low / s)
    q = np.clip(np.round(x.numpy() / np.float32(s)) + z, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    expected = (q - z) * s
    np.testing.assert_allclose(fake_quantize(x, low, high, bits).numpy(), expected, rtol=1e-5, atol=1e-6)
