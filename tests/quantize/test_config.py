"""The config of a problem: one record, or its fields as keywords; and what a fingerprint says of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nemo_lab as nl
from nemo_lab.arguments import Choice
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.fields import declared
from nemo_lab.quantize.fingerprint import settings_digests

IMAGES = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 4
ROWS = [[3, 4, 5, 6], [8, 8, 8, 8]]


def problem(**settings: Any) -> nl.QuantizationProblem:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    workload = nl.Workload.from_module(net, IMAGES[:1])
    return nl.QuantizationProblem(workload, IMAGES, (IMAGES, LABELS), metric="kl", **settings)


CHANGES: dict[str, Any] = {
    "ranges": "mse",
    "percentile": 99.0,
    "per_channel": True,
    "symmetric": True,
    "fold": False,
    "equalize": True,
    "bias": "int32",
}


RESERVED = {"group_size": None}  # field -> its one value


def test_the_list_of_changes_is_whole() -> None:
    assert {*CHANGES, *RESERVED} == {one.name for one in dataclasses.fields(nl.QuantizationConfig)}


@pytest.mark.parametrize(
    ("field", "value", "today"),
    [
        ("group_size", 32, "None: one scale for each tensor, or channel by per_channel=True"),
    ],
)
def test_a_reserved_field_says_what_is_supported_today(field: str, value: object, today: str) -> None:
    with pytest.raises(ArgumentError, match=f"{field}={value!r}; give {today}, which is all that is"):
        nl.QuantizationConfig(**{field: value})  # type: ignore[arg-type]
    usual = nl.QuantizationConfig(**{field: RESERVED[field]})  # type: ignore[arg-type]
    assert usual == nl.QuantizationConfig()
    assert settings_digests([], usual, []) == settings_digests([], nl.QuantizationConfig(), [])


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_may_stand_in_the_config_or_alone(field: str) -> None:
    change = {field: CHANGES[field]}
    one, other = problem(config=nl.QuantizationConfig(**change)), problem(**change)
    assert one.config == other.config == dataclasses.replace(nl.QuantizationConfig(), **change)
    assert np.array_equal(one.evaluate(ROWS), other.evaluate(ROWS))
    assert one.fingerprint() == other.fingerprint() != problem().fingerprint()


def test_a_field_may_not_be_given_twice() -> None:
    config = nl.QuantizationConfig(per_channel=True)
    for again in (True, False):
        with pytest.raises(ArgumentError, match="per_channel is given in config and as a keyword"):
            problem(config=config, per_channel=again)
    assert problem(config=config, symmetric=True).config == nl.QuantizationConfig(
        per_channel=True, symmetric=True
    )


def test_a_misspelt_keyword_is_answered_by_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no argument 'per_chanel'; did you mean 'per_channel'"):
        problem(per_chanel=True)
    with pytest.raises(UnknownNameError, match="no argument 'batchsize'; did you mean 'batch_size'"):
        problem(batchsize=3)
    with pytest.raises(ArgumentError, match="config='mse'; give a QuantizationConfig, or None"):
        problem(config="mse")


def test_a_config_is_frozen_and_compared_by_value() -> None:
    config = nl.QuantizationConfig("percentile", 99)
    assert config == nl.QuantizationConfig(ranges="percentile", percentile=99.0)
    assert hash(config) == hash(nl.QuantizationConfig("percentile", 99.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.fold = False  # type: ignore[misc]


def test_a_digest_does_not_know_a_field_added_later_at_its_default() -> None:
    @dataclasses.dataclass(frozen=True)
    class Later(nl.QuantizationConfig):
        rounding: str = declared("nearest", Choice(("nearest", "down")), "Of numbers.")

    config = nl.QuantizationConfig(per_channel=True)
    before = settings_digests(["top1"], config, [32])
    assert settings_digests(["top1"], Later(per_channel=True), [32]) == before
    changed = settings_digests(["top1"], Later(per_channel=True, rounding="down"), [32])
    assert len(changed) == 1  # no earlier version could have written it
    assert changed[0] not in before


def test_the_order_of_fields_does_not_matter_and_their_values_do() -> None:
    found = {settings_digests([], nl.QuantizationConfig(**{name: CHANGES[name]}), [])[0] for name in CHANGES}
    assert len(found) == len(CHANGES)


def former(made: nl.QuantizationProblem) -> tuple[dict[str, str], ...]:
    return made.former_fingerprints(made.fingerprint())


def test_a_whole_percentile_is_known_in_both_spellings() -> None:
    assert len({one["settings"] for one in former(problem(ranges="percentile", percentile=99))}) == 3
    assert len({one["settings"] for one in former(problem())}) == 2  # as now, with the workload as before
