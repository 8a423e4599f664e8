"""The small networks of the embedded workloads: MobileNetV2 at the scale of a lecture.

The building block is the inverted residual of Sandler et al., "MobileNetV2" (arXiv 1801.04381):
1x1 expansion, 3x3 depthwise, 1x1 linear projection, and an addition where the shapes allow it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def conv_bn(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless it ends a bottleneck, ReLU6."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        norm=nn.BatchNorm2d(outputs),
    )
    if relu:
        layers["relu"] = nn.ReLU6()
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Expansion by ``expand``, depthwise 3x3, linear projection; residual where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.residual = stride == 1 and inputs == outputs
        self.expand = conv_bn(inputs, hidden, 1) if expand != 1 else nn.Identity()
        self.depthwise = conv_bn(hidden, hidden, 3, stride=stride, groups=hidden)
        self.project = conv_bn(hidden, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """float[N, inputs, H, W] -> float[N, outputs, H / stride, W / stride]."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class SmallMobileNet(nn.Module):
    """A MobileNetV2 for small grey images: float32[N, 1, H, W] -> logits float32[N, classes].

    Args:
        stem: channels after the first 3x3 convolution.
        stages: rows (expansion t, channels c, repeats n, first stride s), as in the paper's table.
        head: channels of the last 1x1 convolution.
        stem_stride: stride of the first convolution.
        classes: number of logits.
    """

    def __init__(
        self,
        *,
        stem: int,
        stages: Sequence[tuple[int, int, int, int]],
        head: int,
        stem_stride: int = 1,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.stem = conv_bn(1, stem, 3, stride=stem_stride)
        blocks: list[nn.Module] = []
        channels = stem
        for expand, outputs, repeats, first_stride in stages:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, stride=stride, expand=expand))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = conv_bn(channels, head, 1)
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = self.head(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(torch.mean(x, (2, 3)))
        return logits
