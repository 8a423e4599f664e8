"""Weights that a module computes before it multiplies by them: normalised, pruned, parametrized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nemo_lab.workload.operations import LAYERS
from nemo_lab.workload.own_numbers import OwnNumbers
from nemo_lab.workload.shapes_and_macs import evaluating
from nemo_lab.workload.untouched import untouched

SOURCES = ("g", "v", "u", "orig", "mask")  # weight_g and weight_v, weight_orig and weight_mask, and so on

BY_TORCH = "_tensor_constant"  # what torch.fx calls the tensors that it puts into a module


@contextmanager
def deployed(module: nn.Module) -> Iterator[nn.Module]:
    """``module`` as it is deployed: in evaluation mode, each computed weight held as one parameter.

    What a parametrization or a hook makes of parameters and buffers, such as ``weight`` of ``weight_g`` and
    ``weight_v``, is computed once. In the body, modules of the same kind that hold the results stand in for
    those that compute them; they share everything else. Afterwards ``module`` is as before.
    """
    with evaluating(module), untouched(module):
        held = {part: plain for part in module.modules() if (plain := _holding(part)) is not None}
    places = [(of, name, part) for of in module.modules() for name, part in _children(of) if part in held]
    for of in held.values():
        of._modules.update({name: held[part] for name, part in _children(of) if part in held})
    attributes = set(vars(module))
    with evaluating(module):
        try:
            for of, name, part in places:
                of._modules[name] = held[part]
            yield held.get(module, module)
        finally:
            for of, name, part in places:
                of._modules[name] = part
            for name in [new for new in vars(module).keys() - attributes if new.startswith(BY_TORCH)]:
                delattr(module, name)


def way_out(layer: nn.Module) -> str:
    """How a weight that could not be held becomes a parameter."""
    if parametrize.is_parametrized(layer):
        return "take out what draws it: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
    if layer._forward_pre_hooks:
        return (
            "remove the hook that sets it, or have it computed of parameters and buffers alone, with "
            "torch.nn.utils.parametrize.register_parametrization"
        )
    return "make it one: layer.weight = torch.nn.Parameter(layer.weight)"


def _children(part: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, child) for name, child in part._modules.items() if child is not None]


def _holding(part: nn.Module) -> nn.Module | None:
    """A module that holds what ``part`` computes; None if that is nothing, or is drawn at random."""
    hooked = bool(part._forward_pre_hooks) and _lacks_parameters(part)
    if not (parametrize.is_parametrized(part) or hooked):
        return None
    plain, values = _computed(part, seed=0)
    _, again = _computed(part, seed=1)
    if not values or not all(torch.equal(value, again[name]) for name, value in values.items()):
        return None
    for name, value in values.items():
        vars(plain).pop(name, None)
        plain.register_parameter(name, nn.Parameter(value.detach().clone(), requires_grad=False))
    for tensors in (plain._parameters, plain._buffers):
        for name in [name for name in tensors if _is_source(name, plain, values)]:
            del tensors[name]
    return plain


def _is_source(name: str, plain: nn.Module, values: Mapping[str, Tensor]) -> bool:
    """Whether a module of torch.nn has a tensor only because others were computed from it."""
    if type(plain) in LAYERS:
        return name not in ("weight", "bias")
    own = type(plain).__module__.startswith("torch.nn.")
    return own and any(name == f"{one}_{end}" for one in values for end in SOURCES)


def _lacks_parameters(part: nn.Module) -> bool:
    """Whether tensors are in the place of parameters, or nothing is in that of a weight."""
    layer = isinstance(part, LAYERS) and part._parameters.get("weight") is None
    return layer or any(isinstance(value, Tensor) for value in vars(part).values())


def _computed(part: nn.Module, seed: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy of ``part`` that computes nothing, and what is computed for it."""
    kind: type[nn.Module] = parametrize.type_before_parametrizations(part)
    plain = kind.__new__(kind)
    own = ("_parameters", "_buffers", "_modules", "_forward_pre_hooks")
    vars(plain).update({**vars(part), **{name: vars(part)[name].copy() for name in own}, "training": False})
    values: dict[str, Tensor] = {}
    with OwnNumbers(seed):
        if parametrize.is_parametrized(part):
            values |= {name: getattr(part, name) for name, _ in _children(part.parametrizations)}  # type: ignore[arg-type]
            del plain._modules["parametrizations"]
        for number in list(plain._forward_pre_hooks):
            values |= _set_by_hook(plain, number)
    plain.training = part.training
    return plain, values


def _set_by_hook(plain: nn.Module, number: int) -> dict[str, Tensor]:
    """The tensors that a hook sets without a look at the input, after which it is needed no more."""
    before = dict(vars(plain))
    try:
        returned = plain._forward_pre_hooks[number](plain, ())
    except Exception:  # it does look
        return {}
    now = vars(plain).items()
    found = {name: one for name, one in now if isinstance(one, Tensor) and one is not before.get(name)}
    if returned is not None or not found:
        return {}
    del plain._forward_pre_hooks[number]
    return found
