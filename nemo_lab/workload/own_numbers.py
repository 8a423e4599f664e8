"""Random numbers of one's own: torch's global generators are neither read nor moved on."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from nemo_lab.exclusion import alone, tracing


class NoCompiler(TorchDispatchMode):
    """A mode of dispatch under which nothing is compiled.

    Torch's guard against compiling imports its compiler: a second, and 150 MB. Operators that run graphs,
    such as ``torch.cond``, are operations like any other; what their graphs do is not seen.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class OwnNumbers(NoCompiler):
    """What draws in the body, in this thread, draws from generators that begin at ``seed``.

    ``torch.random.fork_rng`` would not do: another thread that draws meanwhile would get the same numbers
    as the body does, and what it drew would be forgotten.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = _device(args, kwargs)
        if not draws(func, args, kwargs) or kwargs.get("generator") is not None or device.type == "meta":
            return func(*args, **kwargs)
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        generator = self._generators[device]
        drawing = WRITTEN_OUT.get(func) or _with_generator(func)
        if drawing is not None:
            return drawing(*args, **{**kwargs, "generator": generator})
        with self:  # by the operations that it is made of
            result = func.decompose(*args, **kwargs)
        return result if result is not NotImplemented else _in_place(generator, func, args, kwargs)


def draws(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether a call of an operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()) and bool(
        _dropout(func, args, kwargs)
    )


def _native_dropout(given: Tensor, p: float, train: bool | None, *, generator: torch.Generator) -> Any:
    if train is False:
        return given.clone(), torch.ones_like(given, dtype=torch.bool)
    kept = torch.empty_like(given).bernoulli_(1 - p, generator=generator)
    return given * kept * (0.0 if p == 1 else 1 / (1 - p)), kept.bool()


WRITTEN_OUT = {torch.ops.aten.native_dropout.default: _native_dropout}


def _in_place(generator: torch.Generator, func: Any, args: Any, kwargs: Any) -> Any:
    """Run what takes no generator: for this moment, torch's own of that device is in the state of ours.

    Nobody else computes meanwhile, and no other device's is touched.
    """
    device = generator.device
    module: Any = torch.random if device.type == "cpu" else torch.get_device_module(device)
    which = () if device.type == "cpu" else (device,)
    with tracing(), alone():
        before = module.get_rng_state(*which)
        try:
            module.set_rng_state(generator.get_state(), *which)
            result = func(*args, **kwargs)
            generator.set_state(module.get_rng_state(*which))
        finally:
            module.set_rng_state(before, *which)
    return result


def _device(args: Any, kwargs: Any) -> torch.device:
    tensors = [leaf for leaf in pytree.arg_tree_leaves(*args, **kwargs) if isinstance(leaf, Tensor)]
    given = kwargs.get("device")
    return torch.device(given) if given is not None else tensors[0].device if tensors else torch.device("cpu")


def _dropout(func: Any, args: Any, kwargs: Any) -> Any:
    """The share that attention drops, by name or by place; True for all else that draws."""
    names = [argument.name for argument in func._schema.arguments]
    if "dropout_p" not in names:
        return True
    place = names.index("dropout_p")
    return args[place] if place < len(args) else kwargs.get("dropout_p", 0.0)


@cache
def _with_generator(func: Any) -> Any:
    """The same operation with an argument for the generator, if there is one."""
    names = [argument.name for argument in func._schema.arguments]
    if "generator" in names:
        return func
    packet = func._overloadpacket
    for overload in packet.overloads():
        other = getattr(packet, overload)
        arguments = [argument.name for argument in other._schema.arguments]
        if "generator" in arguments and [a for a in arguments if a != "generator"] == names:
            return other
    return None
