"""The numba kernels against torch's four passes, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nemo_lab.quantize.affine import Affine, affine, round_, round_and_keep_, rounded
from nemo_lab.quantize.kernels import squared_error

WIDTHS = range(2, 17)


def four_passes(x: Tensor, quantizer: Affine) -> Tensor:
    scale, low, high = quantizer
    return x.clone().div_(scale).round_().clamp_(low, high).mul_(scale)


def bits_of(x: Tensor) -> Tensor:
    """The bit patterns, with one zero."""
    return (x + 0.0).contiguous().view(torch.int32)


def images(seed: int = 0) -> Tensor:
    return torch.randn(3, 5, 7, 6, generator=torch.Generator().manual_seed(seed)) * 3


LAYOUTS = {
    "contiguous": images(),
    "channels last": images().contiguous(memory_format=torch.channels_last),
    "one channel": images()[:, :1].contiguous(memory_format=torch.channels_last),
    "one pixel": images()[:, :, :1, :1].contiguous(memory_format=torch.channels_last),
    "slice of channels": images()[:, 1:4],
    "every second column": images()[..., ::2],
    "transposed": images().transpose(1, 2),
    "matrix transposed": images()[0, 0].T,
    "expanded": torch.tensor([[0.3], [-1.7]]).expand(2, 9),
    "empty": images()[:0],
    "number": torch.tensor(1.234),
}


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rounding_is_torchs_in_every_layout(layout: str, bits: int) -> None:
    x = LAYOUTS[layout]
    for symmetric in (False, True):
        quantizer = affine(-2.3, 4.1, bits, symmetric)
        own = x.clone(memory_format=torch.preserve_format)
        found = round_(own, quantizer)
        assert found is own
        assert torch.equal(bits_of(found), bits_of(four_passes(x, quantizer)))
        before = x.clone()
        new = rounded(x, quantizer)
        assert torch.equal(bits_of(new), bits_of(found))
        assert torch.equal(x, before)
        assert new.untyped_storage().data_ptr() != x.untyped_storage().data_ptr() or not x.numel()


def test_a_view_with_gaps_is_rounded_in_place_and_its_neighbours_are_not() -> None:
    whole = images()
    expected = whole.clone()
    expected[:, 1:3] = four_passes(whole[:, 1:3], affine(-1, 1, 3))
    round_(whole[:, 1:3], affine(-1, 1, 3))
    assert torch.equal(whole, expected)


@pytest.mark.parametrize("bits", WIDTHS)
def test_huge_tiny_and_infinite_values(bits: int) -> None:
    x = torch.tensor([3e38, -3e38, 1e30, -1e-38, 1e-45, -0.0, 0.0, torch.inf, -torch.inf, 2.0**24 + 1])
    for low, high in ((-1.0, 2.0), (0.0, 1e30), (-1e-30, 1e-30), (-3.0, 0.0)):
        quantizer = affine(low, high, bits)
        assert torch.equal(bits_of(round_(x.clone(), quantizer)), bits_of(four_passes(x, quantizer)))
        assert torch.equal(bits_of(rounded(x, quantizer)), bits_of(four_passes(x, quantizer)))


def test_nan_stays_nan() -> None:
    for way in (round_, rounded):
        assert bool(way(torch.tensor([torch.nan, 1.0]), affine(-1, 2, 4)).isnan()[0])


@pytest.mark.parametrize("bits", WIDTHS)
def test_halves_go_to_the_even_neighbour(bits: int) -> None:
    steps = torch.arange(-40, 40) + 0.5
    for scale in (1.0, 0.25, 0.1, 1 / 3):
        quantizer = Affine(scale, -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
        x = steps * scale
        near = torch.stack([x, x.nextafter(torch.tensor(9e9)), x.nextafter(torch.tensor(-9e9))])
        assert torch.equal(bits_of(round_(near.clone(), quantizer)), bits_of(four_passes(near, quantizer)))
    exact = round_(steps.clone(), Affine(1.0, -100, 100))
    assert bool((exact % 2 == 0).all())


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_codes_decode_to_the_very_same_numbers(layout: str, bits: int) -> None:
    x = LAYOUTS[layout].clone(memory_format=torch.preserve_format)
    for low, high in ((-2.3, 4.1), (0.0, 5.0), (-4.0, 0.0)):
        expected, own = round_(x.clone(), affine(low, high, bits)), x.clone()
        codes = round_and_keep_(own, affine(low, high, bits))
        assert torch.equal(bits_of(own), bits_of(expected))
        if codes is None:  # no dense layout
            assert layout in ("transposed", "matrix transposed")
            continue
        decoded = codes.decode()
        assert codes.nbytes == x.numel()
        assert torch.equal(decoded, expected)
        assert torch.equal(decoded.signbit(), own.signbit())
        assert decoded.stride() == own.stride()
        assert codes.decode().data_ptr() != decoded.data_ptr() or not x.numel()


def test_widths_above_a_byte_are_rounded_but_not_coded() -> None:
    x = images()
    own = x.clone()
    assert round_and_keep_(own, affine(-3, 3, 9)) is None
    assert torch.equal(own, four_passes(x, affine(-3, 3, 9)))


def test_codes_keep_nan() -> None:
    x = torch.tensor([torch.nan, 1.0])
    codes = round_and_keep_(x, affine(-1, 2, 4))
    assert codes is None or bool(codes.decode().isnan()[0])


def test_huge_numbers_have_codes_and_no_warning() -> None:
    x = torch.tensor([2e19, -1e20, 3e30, 0.0])
    codes = round_and_keep_(x, affine(-1e30, 3e30, 8))
    assert codes is not None
    assert torch.equal(codes.decode(), x)


@pytest.mark.parametrize("bits", WIDTHS)
def test_squared_error_is_that_of_the_rounded_tensor(bits: int) -> None:
    x = images().reshape(-1)
    quantizer = affine(-3, 5, bits)
    expected = float((four_passes(x, quantizer) - x).double().square().sum())
    assert squared_error(x.numpy(), *quantizer) == pytest.approx(expected, rel=1e-5)
