"""Multiply-accumulates and weights of a module, found without nemo_lab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import BaseTorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmarks.breadth.networks import Network
from benchmarks.breadth.prepare import OTHER, TRACED, batch, call, tensors, without_cache

MULTIPLYING = re.compile(r"mv|dot|fft|rnn|lstm|gru|attention|deform|linalg|cdist|mm|conv|einsum")


class _Seen(TorchDispatchMode):
    """Notes operations that may multiply and of which torch's counter has no formula."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func._overloadpacket) if hasattr(func, "_overloadpacket") else str(func)
        if getattr(func, "_overloadpacket", func) not in flop_registry and MULTIPLYING.search(name):
            self.names.add(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def plain_kernels(module: nn.Module) -> Iterator[None]:
    """Without the fused kernels that the counter has no formula for."""
    onednn = torch._C._get_mkldnn_enabled()
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learned:  # no_grad alone makes the counter fail where a module gets a view of one
        parameter.requires_grad_(False)
    torch._C._set_mkldnn_enabled(onednn and not any(isinstance(m, nn.RNNBase) for m in module.modules()))
    try:
        with sdpa_kernel(SDPBackend.MATH), BaseTorchFunctionMode():
            yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
        torch._C._set_mkldnn_enabled(onednn)


def macs(network: Network, module: nn.Module) -> dict[str, Any]:
    """Multiply-accumulates for one example by operator, and what the counter has no formula for.

    What two batches of different sizes take tells what is done for each example from what is done once.
    """
    found = [_by_operator(network, module, count) for count in (TRACED, OTHER)]
    (few, names), (many, _) = found
    each = {name: (many.get(name, 0) - few.get(name, 0)) / (OTHER - TRACED) for name in {**few, **many}}
    once = {name: few.get(name, 0) - TRACED * per for name, per in each.items()}
    return {
        "each": each,
        "once": {name: count for name, count in once.items() if count},
        "no_formula": sorted(names),
        "macs": sum(each.values()) + sum(once.values()),
    }


def _by_operator(network: Network, module: nn.Module, count: int) -> tuple[dict[str, float], set[str]]:
    with plain_kernels(module), _Seen() as seen, FlopCounterMode(display=False) as counter:
        call(module, batch(network, count, 2))
    counts = counter.get_flop_counts().get("Global", {})
    return {str(name).removeprefix("aten."): flops / 2 for name, flops in counts.items()}, seen.names


def weights(network: Network, module: nn.Module) -> dict[str, Any]:
    """Numbers in parameters: all, those of vectors, of matrices without use; and the names of the used ones.

    A parameter is used if the outputs have a gradient by it. The weights of convolutions and linear layers
    count with the matrices, whatever their shape.
    """
    layers = (nn.modules.conv._ConvNd, nn.Linear)
    multiplied = {f"{path}.weight" for path, part in module.named_modules() if isinstance(part, layers)}
    parameters = {name: p for name, p in module.named_parameters() if p.is_floating_point()}
    fixed = [parameter for parameter in parameters.values() if not parameter.requires_grad]
    for parameter in fixed:
        parameter.requires_grad_(True)
    with without_cache(module), torch.enable_grad():
        outputs = [t for t in tensors(call(module, batch(network, TRACED, 2))) if t.requires_grad]
        total = sum(t.double().square().sum() for t in outputs)
        grads = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)  # type: ignore[arg-type]
    for parameter in fixed:
        parameter.requires_grad_(False)
    used = {name for name, grad in zip(parameters, grads, strict=True) if grad is not None}
    matrices = {
        name: p.numel()
        for name, p in parameters.items()
        if p.numel() > max(p.shape, default=1) or name in multiplied
    }
    return {
        "parameters": sum(p.numel() for p in parameters.values()),
        "vectors": sum(p.numel() for name, p in parameters.items() if name not in matrices),
        "unused": {name: size for name, size in matrices.items() if name not in used},
        "used": {name: size for name, size in matrices.items() if name in used},
    }
