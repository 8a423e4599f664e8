"""Digests of what results depend on, so that a stored result is used again only where it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from nemo_lab.contract import check_fingerprint
from nemo_lab.exclusion import computing
from nemo_lab.fields import differing
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.metrics import Metric, functions
from nemo_lab.workload.workload import Workload

PLAIN = (bool, int, float, complex, str, torch.dtype, torch.device, type(None))
NOT_SETTINGS = {"training", "call_super_init", "dump_patches"}
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
    workload: str, data: Iterable[Any], settings: str, functions: Sequence[str] = ()
) -> dict[str, str]:
    """Digests by part.

    Args:
        workload: the digest of what is quantized.
        data: everything it is calibrated and measured on.
        settings: the digest of what the problem was told.
        functions: definitions of metrics of one's own.
    """
    now = {"workload": workload, "data": digest(data), "settings": settings}
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
    now: Mapping[str, str], workloads: Sequence[str], settings: Sequence[str], functions: Sequence[str] = ()
) -> tuple[dict[str, str], ...]:
    """What earlier versions wrote in place of ``now``: of metrics of one's own they knew only the names.

    Args:
        now: as ``fingerprint`` gave it, maybe with more parts.
        workloads, settings: the digest that is in it, then those that earlier versions wrote.
        functions: as for ``fingerprint``.

    Raises:
        ContractError: if ``now`` is not a dict of texts.
    """
    check_fingerprint(now)
    forms = [dict(now)]
    if functions and now.get("code") == digest(functions):
        forms.append({part: one for part, one in now.items() if part != "code"})
    for part, written in (("workload", workloads), ("settings", settings)):
        if now.get(part) == written[0]:  # else somebody digests something else
            forms = [{**form, part: one} for form in forms for one in written]
    return tuple(form for form in forms if form != now)


def workload_digests(workload: Workload) -> tuple[str, str]:
    """Of the network: the digest, and what earlier versions wrote for the same.

    Those digested the code of the graph, the weights, what decisions are called and which input is fixed;
    not what modules were told, nor buffers that are not saved.
    """
    layers = [(one.name, one.aliases) for one in workload.nodes]
    with computing():
        named = sorted(workload.module.state_dict().items())
        weights = (part for pair in named for part in pair)
        first = digest([*layers, workload.graph.code, *weights, *workload.inputs.fixed])
        called = (str(node.target) for node in workload.graph.graph.nodes if node.op == "call_module")
        told = settings_of_modules(workload.graph, called)
        buffers = sorted(workload.graph.named_buffers(remove_duplicate=False))
        return digest([first, *told, *(part for pair in buffers for part in pair)]), first


def settings_of_modules(graph: fx.GraphModule, paths: Iterable[str]) -> Iterator[Any]:
    """Modules of a graph, each once, with what they were told: strides, slopes, ...

    Their weights and buffers are digested elsewhere. Of what they hold besides, plain values count.
    """
    for path in dict.fromkeys(paths):
        for name, part in graph.get_submodule(path).named_modules():
            yield path, name, f"{type(part).__module__}.{type(part).__qualname__}"
            for key, value in sorted(vars(part).items()):
                own = key.startswith("_") or key in NOT_SETTINGS  # torch's, other in other versions of it
                if not own and _is_plain(value):
                    yield key, value


def _is_plain(value: Any) -> bool:
    """Whether a value is written down the same in every process."""
    return all(map(_is_plain, value)) if type(value) is tuple else isinstance(value, PLAIN)


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
