"""A network with random weights that do something, and how it is called, compared and told from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from benchmarks.breadth.networks import Network

TRACED, OTHER, DATA = 2, 3, 4  # examples in a batch
SPREAD = 0.1  # of what is added to vectors and constants
MOMENTUM = 0.9  # of the one batch that batch norms see


def build(network: Network) -> nn.Module:
    """The network in evaluation mode, random and the same each time.

    Vectors and constants get noise, as scales of 1e-6 or zeros at the end of a branch would hide what the
    branch does. Batch norms see one batch, so that signals neither vanish nor explode.
    """
    torch.manual_seed(0)
    module = network.make().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point() and (parameter.ndim < 2 or float(parameter.std()) < 1e-5):
                parameter.add_(SPREAD * torch.randn_like(parameter))
        norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
        if norms:
            momenta = [norm.momentum for norm in norms]
            for norm in norms:
                norm.train()
                norm.momentum = MOMENTUM
            call(module, batch(network, DATA, 1))
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.eval()
                norm.momentum = momentum
    return module


def batch(network: Network, count: int, seed: int) -> Any:
    """So many random examples."""
    return network.inputs(count, Generator().manual_seed(seed))


def call(module: Any, given: Any) -> Any:
    """What a module or a graph gives, without what language models keep for the next token."""
    with without_cache(module):
        if isinstance(given, Mapping):
            return module(**given)
        return module(*given) if isinstance(given, tuple) else module(given)


@contextmanager
def without_cache(module: nn.Module) -> Iterator[None]:
    """``use_cache`` of a configuration is False meanwhile."""
    configs = [c for part in module.modules() if getattr(c := getattr(part, "config", None), "use_cache", 0)]
    for config in configs:
        config.use_cache = False
    try:
        yield
    finally:
        for config in configs:
            config.use_cache = True


def tensors(outputs: Any) -> list[Tensor]:
    """The tensors among outputs."""
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


def distance(found: Any, wanted: Any) -> float:
    """The largest root mean square of differences of two outputs over what is wanted deviates.

    Infinity, if they are not built alike.
    """
    left, right = tensors(found), tensors(wanted)
    if [one.shape for one in left] != [one.shape for one in right]:
        return float("inf")
    worst = 0.0
    for one, other in zip(left, right, strict=True):
        if not other.is_floating_point():
            worst = max(worst, float((one != other).double().mean()))
            continue
        same = one == other  # infinities, too
        off = torch.where(same, 0.0, one.double() - other.double()).square().mean().sqrt()
        deviation = other[other.isfinite()].double().std()
        worst = max(worst, float((off / deviation).nan_to_num(float("inf")))) if bool(off != 0) else worst
    return worst


def state(module: nn.Module) -> str:
    """A digest of all that a caller would notice if it changed: numbers, flags and hooks."""
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode())
        if isinstance(value, Tensor):
            found.update(f"{value.dtype}{tuple(value.shape)}{value.stride()}".encode())
            found.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for name, part in module.named_modules():
        hooks = [len(hooks) for key, hooks in vars(part).items() if key.endswith("_hooks")]
        own = sorted(key for key in vars(part) if not key.startswith("__"))
        cached = getattr(getattr(part, "config", None), "use_cache", None)
        found.update(repr((name, type(part).__qualname__, part.training, hooks, own, cached)).encode())
    for name, parameter in module.named_parameters():
        found.update(f"{name}{parameter.requires_grad}{parameter.grad is None}".encode())
    return found.hexdigest()
