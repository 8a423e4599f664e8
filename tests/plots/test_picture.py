"""The picture of a front, as pixels."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from nemo_lab import Study
from nemo_lab.plots import front_info
from nemo_lab.plots.png import HEIGHT, SCALE, STRIP, WIDTH, front_png
from nemo_lab.plots.style import SELECTION_COLOR, width_colors


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def near(image: Image.Image, color: str) -> int:
    """How many pixels are about of a colour; a palette moves them a little."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(np.asarray(image, dtype=int) - wanted).max(axis=2) < 16).sum())


def test_it_shows_the_front_the_chosen_and_its_bits(digits_study: Study) -> None:
    study = digits_study
    names = tuple(one.name for one in study.species)
    info = front_info(study.snapshot, study.problem, names)
    config = int(study.front().index[0])
    bits = study.config(config).to_numpy().astype(np.uint8)
    png = front_png(info, config, bits, study.problem.bit_widths)
    image = opened(png)
    assert image.size == (WIDTH * SCALE, (HEIGHT + STRIP) * SCALE)
    assert len(png) < 60_000
    assert near(image, SELECTION_COLOR) > 200
    colors = width_colors(study.problem.bit_widths)
    strip = image.crop((0, HEIGHT * SCALE, *image.size))
    for width in set(bits.tolist()):
        assert near(strip, colors[width]) > 100
    plain = opened(front_png(info))
    assert plain.size == (WIDTH * SCALE, HEIGHT * SCALE)
    assert near(plain, SELECTION_COLOR) == 0


def test_a_single_point_and_a_thousand_nodes(toy_study: Study) -> None:
    info = front_info(toy_study.snapshot, toy_study.problem, [one.name for one in toy_study.species])
    wide = np.tile(np.arange(2, 9, dtype=np.uint8), 200)
    assert front_png(info, 0, wide, range(2, 9))
    first = ("values", "config", "species", "generation", "feasible")
    alone = dataclasses.replace(
        info, on_front=np.array([True]), **{name: getattr(info, name)[:1] for name in first}
    )
    assert front_png(alone, 0, wide[:1], range(2, 9))
