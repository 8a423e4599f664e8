"""Makes the golden tables of torchvision's networks, by arithmetic on their modules alone.

Nothing of nemo_lab is used: forward hooks note the shapes that each convolution and linear layer sees, and
what is rounded is counted by the rule of docs/method.md, section 1, written out for these two architectures.

    python -m tests.golden.make_workloads
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "workloads"
NETWORKS = ("mobilenet_v2", "resnet50", "resnext101_32x8d")
COLUMNS = ("layer", "op", "in", "out", "kernel", "stride", "features", "params", "macs")


def layer_rows(net: nn.Module) -> list[list[Any]]:
    """One row for each call of a convolution or linear layer, on one image of 224 x 224 pixels."""
    rows: list[list[Any]] = []

    def note(name: str) -> Any:
        def hook(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(layer, nn.Linear):
                kernel, stride, features = 1, 1, layer.in_features
                fan_in, outputs = layer.in_features, layer.out_features
                op, channels = "linear", (layer.in_features, layer.out_features)
            else:
                kernel, stride, features = prod(layer.kernel_size), layer.stride[0], prod(inputs[0].shape[2:])
                fan_in = layer.in_channels // layer.groups * kernel
                outputs = layer.out_channels * prod(output.shape[2:])
                op = "depthwise conv" if 1 < layer.groups == layer.in_channels else "conv"
                channels = layer.in_channels, layer.out_channels
            params = channels[1] * fan_in
            rows.append([name, op, *channels, kernel, stride, features, params, outputs * fan_in])

        return hook

    hooks = [
        layer.register_forward_hook(note(name))
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        net(torch.zeros(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    return rows


def rounded_tensors(net: Any) -> Counter[str]:
    """How many activations are rounded, by what produces them."""
    found = Counter({"input": 1})
    if hasattr(net, "features"):  # MobileNetV2; the others are ResNets
        found["relu6"] += 1  # the stem's
        adds = [False]  # whether each block gives a sum; the stem does not
        for block in list(net.features)[1:-1]:
            found["relu6"] += sum(isinstance(part, nn.ReLU6) for part in block.modules())
            adds.append(block.use_res_connect)
        found["add"] = sum(adds)
        found["batch norm"] = len(adds) - 1  # of every bottleneck: feeds a convolution or an addition
        found["relu6"] += 1  # the last convolution's, which the linear layer reads through the pooling
    else:
        blocks = [block for stage in (net.layer1, net.layer2, net.layer3, net.layer4) for block in stage]
        found["relu"] = 1 + 3 * len(blocks)  # max pooling behind the stem's is looked through
        found["batch norm"] = len(blocks) + sum(block.downsample is not None for block in blocks)
        found["pool"] = 1  # the module nn.AdaptiveAvgPool2d reads the last ReLU, the linear layer its output
    return found


def main() -> None:
    """Write one table a network, and the totals of all."""
    from torchvision import models  # not everywhere, and doctest imports this file

    FOLDER.mkdir(exist_ok=True)
    totals = {}
    for name in NETWORKS:
        with torch.device("meta"):
            net = models.get_model(name, weights=None).eval()
        rows = layer_rows(net)
        with (FOLDER / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
        activations = rounded_tensors(net)
        totals[name] = {
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "weights": sum(row[-2] for row in rows),
            "macs": sum(row[-1] for row in rows),
            "nodes": len(rows) + activations.total(),
            "activations": dict(sorted(activations.items())),
        }
    (FOLDER / "totals.json").write_text(json.dumps(totals, indent=1) + "\n")


if __name__ == "__main__":
    main()
