"""Digests of what results depend on, so that a stored result is used again only where it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nemo_lab.contract import check_fingerprint
from nemo_lab.exclusion import computing
from nemo_lab.fields import differing
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.metrics import Metric, functions
from nemo_lab.workload.workload import Workload

FIRST_FIELDS = {"ranges", "percentile", "symmetric", "per_channel", "fold"}  # all there were at first


def digest(parts: Iterable[Any]) -> str:
    """A short hexadecimal digest of texts, numbers, tensors and arrays, in order."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous()
            if part.dtype == torch.bfloat16:
                part = part.view(torch.int16)
            part = part.numpy()
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data if part.size else b"")
        else:
            found.update(f"{part!r};".encode())
    return found.hexdigest()


def fingerprint(
    workload: Workload, data: Iterable[Any], settings: str, functions: Sequence[str] = ()
) -> dict[str, str]:
    """Digests by part.

    Args:
        workload: that is quantized.
        data: everything it is calibrated and measured on.
        settings: the digest of what the problem was told.
        functions: definitions of metrics of one's own.
    """
    now = {"workload": workload_digest(workload), "data": digest(data), "settings": settings}
    return {**now, "code": digest(functions)} if functions else now


def of_metrics(metrics: Sequence[Metric], of_set: Sequence[bool], batches: int) -> list[str]:
    """What tells metrics of one's own from others of the same names.

    Args:
        metrics: of a problem.
        of_set: whether each gives one number for all examples.
        batches: of the examples.
    """
    whole = [metric.name for metric, one in zip(metrics, of_set, strict=True) if one]
    return [*functions(metrics), *(f"{name} of all at once" for name in whole if batches > 1)]


def former(
    now: Mapping[str, str], settings: Sequence[str], functions: Sequence[str] = ()
) -> tuple[dict[str, str], ...]:
    """What earlier versions wrote in place of ``now``: of metrics of one's own they knew only the names.

    Args:
        now: as ``fingerprint`` gave it, maybe with more parts.
        settings: the digest that is in it, then those that earlier versions wrote.
        functions: as for ``fingerprint``.

    Raises:
        ContractError: if ``now`` is not a dict of texts.
    """
    check_fingerprint(now)
    if now.get("settings") != settings[0]:  # somebody digests other settings
        return ()
    if not functions or now.get("code") != digest(functions):
        return tuple({**now, "settings": one} for one in settings[1:])
    unnamed = {part: one for part, one in now.items() if part != "code"}
    return tuple({**unnamed, "settings": one} for one in settings)


def workload_digest(workload: Workload) -> str:
    """Of the network's code, its weights, the names of its decisions, and the fixed part of its input."""
    layers = [(one.name, one.aliases) for one in workload.nodes]
    with computing():
        named = sorted(workload.module.state_dict().items())
        weights = (part for pair in named for part in pair)
        return digest([*layers, workload.graph.code, *weights, *workload.inputs.fixed])


def settings_digests(
    before: Sequence[Any], config: QuantizationConfig, after: Sequence[Any]
) -> tuple[str, ...]:
    """Of what a problem was told: the digest, then those that earlier versions wrote for the same.

    The digest names only the fields of ``config`` that differ from their defaults, so that fields may be
    added to it. The first versions always named five in full, and a percentile as it was given, 99 or 99.0.

    Args:
        before, config, after: all that is digested, in this order.
    """
    changed = differing(config)
    forms: list[list[Any]] = [[f"{name}={value!r}" for name, value in changed.items()]]
    if changed.keys() <= FIRST_FIELDS:
        forms += [[_Verbatim(text)] for text in _first_form(config)]
    return tuple(digest([*before, *form, *after]) for form in forms)


def _first_form(config: QuantizationConfig) -> list[str]:
    percentiles = [repr(config.percentile)]
    if config.percentile.is_integer():
        percentiles.append(repr(int(config.percentile)))
    return [
        f"Calibration(rule={config.ranges!r}, percentile={percentile}, symmetric={config.symmetric!r}, "
        f"per_channel={config.per_channel!r}, fold={config.fold!r})"
        for percentile in percentiles
    ]


class _Verbatim(str):
    """A text that is digested as it is, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__
