"""How a network is quantized, as one frozen record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nemo_lab.arguments import Choice, Flag, Instance, Number, OrNone
from nemo_lab.errors import ArgumentError
from nemo_lab.fields import check_fields, check_names, declared, differing, documented

RangeRule = Literal["minmax", "percentile", "mse"]
BiasRule = Literal["float", "int32"]
PERCENTILE = Number(50, 100, open="low", words="a percentile above 50, at most 100; 99.99 is usual")

# reserved: it has the one value that says what is done today
GROUP_SIZE = OrNone(
    Choice((), words="None"),
    words="None: one scale for each tensor, or channel by per_channel=True, which is all that is supported "
    "today",
)


@documented
@dataclass(frozen=True)
class QuantizationConfig:
    """How the ranges of weights and activations are found, and what their quantizers are.

    A journal names only fields that differ from their defaults, so that a field may be added: studies made
    before it can still be loaded.

    Raises:
        ArgumentError: on a value outside of a field's domain.

    >>> QuantizationConfig(per_channel=True).ranges
    'minmax'
    """

    ranges: RangeRule = declared(
        "minmax",
        Choice(get_args(RangeRule)),
        '``"minmax"``: the mean over batches of the batch minimum and maximum (the paper); ``"percentile"``: '
        'the same of two percentiles; ``"mse"``: for each width the range of least squared error, among '
        "shrunken versions of the extreme values (activations on a sample).",
    )
    percentile: float = declared(
        99.99, PERCENTILE, 'The upper one of ``"percentile"``; the lower is as far from 0.'
    )
    per_channel: bool = declared(
        False, Flag(), "One weight range for each output channel, of each group and expert."
    )
    symmetric: bool = declared(False, Flag(), "Zero points of 0, see ``nemo_lab.quantize.affine.affine``.")
    fold: bool = declared(True, Flag(), "Fold batch norms into the convolutions before them.")
    equalize: bool = declared(
        False,
        Flag(),
        "Balance the ranges of channels between consecutive layers, which leaves the network in full "
        "precision as it is, see ``nemo_lab.quantize.equalization``; for one range for each tensor.",
    )
    bias: BiasRule = declared(
        "float",
        Choice(get_args(BiasRule)),
        '``"float"``: biases stay in full precision; ``"int32"``: of layers whose input and weight are '
        "quantized they are whole numbers of the two scales' product, as integer kernels add them.",
    )
    group_size: None = declared(
        None, GROUP_SIZE, "How many weights share a scale; a tensor or channel has one."
    )

    def __post_init__(self) -> None:
        check_fields(self)


def configured(config: Any, settings: Mapping[str, Any], others: Iterable[str] = ()) -> QuantizationConfig:
    """A config with some fields given as keywords.

    Args:
        config: a ``QuantizationConfig``; None for one of defaults.
        settings: field -> value.
        others: further keywords that the caller knows, to be proposed for a misspelt one.

    Raises:
        UnknownNameError: on a keyword that is not a field.
        ArgumentError: on a field that ``config`` sets, too, or a value outside of its domain.
    """
    made = OrNone(Instance(QuantizationConfig)).check("config", config) or QuantizationConfig()
    twice = [name for name in differing(made) if name in settings]
    if twice:
        raise ArgumentError(f"{twice[0]} is given in config and as a keyword", "give it once")
    return changed(made, settings, others)


def changed(
    config: QuantizationConfig, settings: Mapping[str, Any], others: Iterable[str] = ()
) -> QuantizationConfig:
    """A config with other values in some fields; ``others`` are proposed for a misspelt one, too.

    Raises:
        UnknownNameError: on a keyword that is not a field.
        ArgumentError: on a value outside of its domain.
    """
    known = [one.name for one in dataclasses.fields(QuantizationConfig)]
    if not settings.keys() <= set(known):
        check_names("argument", settings, [*known, *others])
    return dataclasses.replace(config, **settings)
