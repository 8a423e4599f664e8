"""The methods: each a network and its images -> ways to classify them all once."""

from __future__ import annotations

import contextlib
import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from benchmarks.evaluator.networks import Timed
from benchmarks.evaluator.timing import Task

Ways = dict[str, Task]
LAYOUTS = {"": torch.contiguous_format, ", channels last": torch.channels_last}
ADDITIONS = (operator.add, operator.iadd, torch.add)

PASSED = (torch.mean, torch.flatten, nn.functional.adaptive_avg_pool2d)
PASSED_MODULES = (nn.Identity, nn.Dropout, nn.AdaptiveAvgPool2d)


def passes(net: Callable[[Tensor], Any], timed: Timed, layouts: tuple[str, ...] = ("",)) -> Ways:
    """A forward over all images, for every batch size and layout of the images."""

    def way(parts: list[Tensor]) -> Task:
        def run() -> None:
            with torch.inference_mode():
                for part in parts:
                    net(part)

        return run

    return {
        f"batch {size}{layout}": way(
            [part.contiguous(memory_format=LAYOUTS[layout]) for part in timed.images.split(size)]
        )
        for layout in layouts
        for size in timed.batches
    }


def plain(timed: Timed) -> Ways:
    """FP32, as given."""
    return passes(timed.net, timed)


def folded(timed: Timed) -> Ways:
    """FP32 with batch norms folded, in channels last: what a careful engineer would run."""
    net = fuse(timed.net).to(memory_format=torch.channels_last)
    return passes(net, timed, (", channels last",))


def _ours(timed: Timed, choices: int | None) -> Ways:
    import nemo_lab as nl

    workload = nl.Workload.from_module(timed.net, timed.images[:1])
    data = timed.images, torch.zeros(len(timed.images), dtype=torch.int64)

    def way(size: int) -> Task:
        problem = nl.QuantizationProblem(
            workload, timed.images[:32], data, batch_size=size, threads=1, kept_mb=0
        )
        rng = np.random.default_rng(0)
        widths = np.arange(2, 9) if choices is None else np.arange(8, 8 - choices, -1)

        def run() -> None:
            bits = rng.choice(widths, problem.num_nodes)
            problem._found.clear()
            problem.evaluate(bits)

        return run

    return {f"batch {size}": way(size) for size in timed.batches}


def ours(timed: Timed) -> Ways:
    """``evaluate`` of a candidate with random widths, new ones each time, that shares nothing."""
    return _ours(timed, None)


def ours_again(timed: Timed) -> Ways:
    """The same at 8 bits each time, its result forgotten: the weights are at hand, as in the peers."""
    return _ours(timed, 1)


class Round(nn.Module):
    """An activation through torch's operation, its range from the first tensor that comes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[float, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The tensor, rounded to 8 bits."""
        if self.found is None:
            low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
            scale = (high - low) / 255 or 1.0
            self.found = scale, round(-low / scale)
        return torch.fake_quantize_per_tensor_affine(x, *self.found, 0, 255)


def torch_op(timed: Timed) -> Ways:
    """``torch.fake_quantize_per_tensor_affine`` where ours rounds: norms folded, weights rounded once."""
    net = fuse(timed.net)
    modules = dict(net.named_modules())
    rounded: set[fx.Node] = set()
    for node in list(net.graph.nodes):
        layer = modules[str(node.target)] if node.op == "call_module" else None
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data = Round()(layer.weight.data)
        elif not (node.op == "call_function" and node.target in ADDITIONS):
            continue
        for source in (_origin(source, modules) for source in node.all_input_nodes):
            if source in rounded:
                continue
            name = f"round_{len(rounded)}"
            net.add_submodule(name, Round())
            with net.graph.inserting_after(source):
                new = net.graph.call_module(name, (source,))
            source.replace_all_uses_with(new, delete_user_cb=lambda user, new=new: user is not new)
            rounded |= {source, new}
    net.recompile()
    with torch.inference_mode():
        net(timed.images[:32])
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    return {**passes(net, timed), **passes(last, timed, (", channels last",))}


def _origin(node: fx.Node, modules: dict[str, nn.Module]) -> fx.Node:
    """Back through what ours does not round behind: identities, means, reshaping."""
    while True:
        kept = node.target in PASSED or isinstance(modules.get(str(node.target)), PASSED_MODULES)
        if not kept or node.op == "placeholder":
            return node
        node = node.all_input_nodes[0]


class Wrapped(nn.Module):
    """An fx graph that nncf takes for an ordinary module."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        """The network's output."""
        return self.net(x)


def nncf(timed: Timed) -> Ways:
    """``nncf.quantize`` with its defaults: 8 bits."""
    import nncf as package

    net = Wrapped(copy.deepcopy(timed.net)).eval()
    parts = list(timed.images[:32].split(timed.batches[-1]))
    return passes(package.quantize(net, package.Dataset(parts), subset_size=len(parts)), timed)


def brevitas(timed: Timed) -> Ways:
    """``brevitas.graph.quantize`` with its defaults: 8 bits; in its inference mode, too, if that is there."""
    from brevitas.graph.calibrate import calibration_mode
    from brevitas.graph.quantize import preprocess_for_quantize, quantize

    net = quantize(preprocess_for_quantize(copy.deepcopy(timed.net)))
    with torch.no_grad(), calibration_mode(net):
        net(timed.images[:32])
    net.eval()
    ways = passes(net, timed)
    with contextlib.suppress(ImportError):  # it asks for onnx
        from brevitas.export.inference import quant_inference_mode

        faster = copy.deepcopy(net)
        quant_inference_mode(faster, cache_quant_weight=True).__enter__()  # for good
        with torch.no_grad():
            faster(timed.images[: timed.batches[0]])
        ways |= {f"{name}, inference mode": way for name, way in passes(faster, timed).items()}
    return ways


METHODS: dict[str, tuple[str, Callable[[Timed], Ways]]] = {
    "ours": ("nemo_lab, a new candidate each time", ours),
    "again": ("nemo_lab, weights at hand", ours_again),
    "torch": ("`torch.fake_quantize_per_tensor_affine`", torch_op),
    "nncf": ("nncf", nncf),
    "brevitas": ("brevitas", brevitas),
}
PEERS = ("nncf", "brevitas")
