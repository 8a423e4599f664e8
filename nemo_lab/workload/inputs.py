"""What a network is called with: tensors that every batch brings, and the rest of the example as it was."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor of which every batch brings its own.

    Attributes:
        name: of the parameter of ``forward``, and where inside it the tensor is.
        shape: of one example.
        dtype: in the example.
        infinite: whether the example has infinities in it, as masks of scores have.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    infinite: bool


@dataclass(frozen=True, eq=False)
class Inputs:
    """How a network is called, learned from an example of one batch.

    A tensor whose first axis is as long as the batch has a row for each example: every batch brings its own.
    Anything else is fixed: numbers, None, flags, tensors of another first axis.

    Attributes:
        args, kwargs: the example; of a tensor that every batch brings, a ``Leaf`` in its place.
        parameters: name of each argument in ``args``.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], batch: int) -> Inputs:
        """Those of a module and an example of so many rows."""
        import torch
        from torch.utils import _pytree as pytree

        flatten: Any = pytree.tree_flatten_with_path
        found, spec = flatten((tuple(args), dict(kwargs)))
        parameters = _parameters(module, len(args))
        leaves: list[Any] = []
        for path, leaf in found:
            if isinstance(leaf, torch.Tensor) and leaf.ndim and len(leaf) == batch:
                name = parameters[path[1].idx] if path[0].idx == 0 else str(path[1].key)
                infinite = leaf.is_floating_point() and bool(leaf.isinf().any())
                name += pytree.keystr(path[2:])
                leaf = Leaf(name, tuple(leaf.shape[1:]), leaf.dtype, infinite)
            leaves.append(leaf.clone() if isinstance(leaf, torch.Tensor) else leaf)
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        return cls(tuple(args), kwargs, parameters)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The tensors of a batch, in order."""
        from torch.utils import _pytree as pytree

        found = pytree.tree_leaves((self.args, dict(self.kwargs)))
        return tuple(leaf for leaf in found if isinstance(leaf, Leaf))

    @property
    def fixed(self) -> tuple[Any, ...]:
        """What stays as in the example: tensors, and what can be written down of the rest."""
        import torch
        from torch.utils import _pytree as pytree

        plain = (torch.Tensor, bool, int, float, complex, str, torch.dtype)
        found = pytree.tree_leaves((self.args, dict(self.kwargs)))
        rest = (leaf for leaf in found if not isinstance(leaf, Leaf))
        return tuple(leaf if isinstance(leaf, plain) else type(leaf).__qualname__ for leaf in rest)

    @cached_property
    def _named(self) -> dict[str, Any]:
        """All arguments of the example by name."""
        return {**dict(zip(self.parameters, self.args, strict=True)), **self.kwargs}

    @cached_property
    def brought(self) -> dict[str, Any]:
        """The arguments that hold tensors of a batch: name -> structure, with a ``Leaf`` for each."""
        from torch.utils import _pytree as pytree

        return {
            name: value
            for name, value in self._named.items()
            if any(isinstance(leaf, Leaf) for leaf in pytree.tree_leaves(value))
        }

    @property
    def plain(self) -> bool:
        """Whether a batch is one tensor."""
        return len(self.brought) == 1 and isinstance(next(iter(self.brought.values())), Leaf)

    def call(
        self, tensors: Sequence[Tensor], dtype: torch.dtype | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of ``forward`` for the tensors of a batch.

        Args:
            tensors: in the order of ``leaves``.
            dtype: of the real numbers among the fixed tensors; their own by default.
        """
        import torch
        from torch.utils import _pytree as pytree

        rest = iter(tensors)

        def filled(leaf: Any) -> Any:
            if isinstance(leaf, Leaf):
                return next(rest)
            if not isinstance(leaf, torch.Tensor):
                return leaf
            return leaf.to(tensors[0].device, dtype=dtype if leaf.is_floating_point() else None)

        args, kwargs = pytree.tree_map(filled, (self.args, dict(self.kwargs)))
        return args, kwargs

    def apart(self, batch: Any) -> list[Any] | None:
        """The tensors of a batch in the order of ``leaves``, as they are; None if it is built otherwise.

        Args:
            batch: what the network takes if that is one argument; a dictionary by names of parameters; or a
                tuple in their order.
        """
        arguments, batch = tuple(self.brought.values()), self._without_fixed(batch)
        if len(arguments) == 1:
            found = _matched(arguments[0], batch)
            if found is not None:
                return found
        if isinstance(batch, Mapping):
            return _matched(self.brought, batch)
        return _matched(arguments, batch) if isinstance(batch, tuple | list) else None

    def _without_fixed(self, batch: Any) -> Any:
        """A batch without arguments that are what they were in the example, and stay so."""
        fixed = {name: value for name, value in self._named.items() if name not in self.brought}
        if isinstance(batch, Mapping):
            return {k: v for k, v in batch.items() if not (k in fixed and _same(fixed[k], v))}
        if isinstance(batch, tuple) and fixed and len(batch) == len(self._named):
            pairs = zip(self._named, batch, strict=True)
            return tuple(v for k, v in pairs if not (k in fixed and _same(fixed[k], v)))
        return batch

    def described(self) -> str:
        """What a batch of several tensors is, for messages."""
        names = ", ".join(self.brought)
        return (
            f"a dictionary with the keys {names}, or a tuple ({names}), or a pair of that and labels; "
            "if one of them is the same for all examples, trace it with another number of examples"
        )


def _same(fixed: Any, given: Any) -> bool:
    """Whether an argument is what it was in the example."""
    import torch

    if isinstance(fixed, torch.Tensor) or isinstance(given, torch.Tensor):
        both = isinstance(fixed, torch.Tensor) and isinstance(given, torch.Tensor)
        return both and torch.equal(fixed, given)
    plain = (bool, int, float, complex, str, torch.dtype, torch.device)
    return fixed is given or (type(fixed) is type(given) and isinstance(fixed, plain) and fixed == given)


def _matched(argument: Any, value: Any) -> list[Any] | None:
    """What a value has where an argument of the example has a ``Leaf``; None if it is built otherwise."""
    if isinstance(argument, Leaf):
        return None if isinstance(value, Mapping | tuple | list | str | bytes) else [value]
    if isinstance(argument, Mapping):
        if not isinstance(value, Mapping) or value.keys() != argument.keys():
            return None
        pairs = [(argument[key], value[key]) for key in argument]
    elif isinstance(argument, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(argument):
            return None
        pairs = list(zip(argument, value, strict=True))
    else:
        return []
    parts = [_matched(*pair) for pair in pairs]
    return None if None in parts else [leaf for part in parts if part is not None for leaf in part]


def _parameters(module: nn.Module, count: int) -> tuple[str, ...]:
    """The names of the first parameters of ``forward``."""
    names: list[str] = []
    for one in inspect.signature(module.forward).parameters.values():
        if one.kind is one.VAR_POSITIONAL:
            names += [f"{one.name}[{i}]" for i in range(count - len(names))]
        elif one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            names.append(one.name)
    return tuple(names[:count])
