"""Files of networks of torchvision that were trained a little: ``python -m benchmarks.deploy.trained``."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import nemo_lab as nl
from benchmarks.deploy.pages import RESULTS, replace_section, written_by
from nemo_lab.export import save_onnx, save_packed

NETWORKS = ("resnet18", "mobilenet_v2")
UNIFORM = (8, 6, 5, 4)
SIDE, BATCH, RATE = 64, 64, 0.05
ABOUT = """Networks of torchvision with ten classes, trained for {seconds} seconds on the images of `fashion`
at {side} x {side} pixels, so that predictions mean something; `bias="int32"`, `per_channel=True`. *Full
precision* and *error* are on held-out images, all of which every file is run on. *Mixed* has a width from 4
to 8 at random for each node (seed 0). Bytes: *payload* is what `storage="payload"` counts; *packed* is the
file, and by how much it is larger than the payload and its own header, as a share of the payload. *Time* is
that of ONNX Runtime by default beside float32, one thread."""


def enlarged(images: np.ndarray) -> Tensor:
    """Images float32[N, 1, 28, 28] as networks of torchvision take them."""
    x = torch.from_numpy(images).expand(-1, 3, -1, -1)
    return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False).contiguous()


def trained(name: str, images: Tensor, labels: Tensor, seconds: float) -> nn.Module:
    """A network after so many seconds of training."""
    torch.manual_seed(0)
    net: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=10)
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, weight_decay=5e-4, nesterov=True)
    begun, steps = time.perf_counter(), 0
    while (passed := (time.perf_counter() - begun) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - passed)
        rows = torch.randint(len(images), (BATCH,))
        batch = images[rows]
        if steps % 2:
            batch = batch.flip(-1)
        loss = F.cross_entropy(net(batch), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    print(f"{name}: {steps} steps, loss {float(loss):.3f}", flush=True)
    return net.eval()


def rows(name: str, seconds: float, folder: Path) -> Iterator[str]:
    """Lines of the table."""
    data = nl.load_workload("fashion").data
    seen, held_out = enlarged(data.search.inputs), enlarged(data.held_out.inputs)
    net = trained(name, seen, torch.from_numpy(data.search.labels).long(), seconds)
    workload = nl.Workload.from_module(net, seen[:2], name=name)
    problem = nl.QuantizationProblem(
        workload, seen[:256], (seen[:512].numpy(), data.search.labels[:512]),
        held_out=(held_out.numpy(), data.held_out.labels),
        bias="int32", per_channel=True, storage="payload",
    )  # fmt: skip
    full = problem.full_precision_error(problem.held_out)
    mixed = np.random.default_rng(0).integers(4, 9, problem.num_nodes).tolist()
    for called, bits in [*((f"{w} bits", [w] * problem.num_nodes) for w in UNIFORM), ("mixed", mixed)]:
        error = problem.error(bits, problem.held_out)[0]
        off, default, *_ = (found := save_onnx(problem, bits, folder / "net.onnx", timed=True)).runs
        data_bytes = save_packed(problem, bits, folder / "net.safetensors").read_bytes()
        payload, header = problem.stored_bytes(bits)[1], int.from_bytes(data_bytes[:8], "little") + 8
        over = (len(data_bytes) - header - payload) / payload
        cells = [
            f"{full:.3f}", f"{error:.3f}", f"{off.difference:.0e}", f"{100 * off.agreement:.2f} %",
            f"{default.difference:.0e}", f"{100 * default.agreement:.2f} %", str(default.integers),
            f"{default.time:.2f}", f"{payload:,}", f"{len(data_bytes):,} ({100 * over:+.2f} %)",
            f"{found.bytes:,}",
        ]  # fmt: skip
        yield f"| {name} | {called} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, and put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seconds", type=float, default=180)
    given = parser.parse_args()
    head = [
        "network",
        "configuration",
        "full precision",
        "error",
        "off: differs",
        "agree",
        "default: differs",
    ]
    head += ["agree", "in integers", "time", "payload", "packed", "ONNX"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        for name in given.networks:
            for line in rows(name, given.seconds, Path(folder)):
                lines.append(line)
                print(line, flush=True)
    about = ABOUT.format(seconds=f"{given.seconds:g}", side=SIDE)
    command = written_by("benchmarks.deploy.trained", vars(given))
    replace_section(RESULTS, "\n".join(["## Networks of torchvision", "", command, "", about, "", *lines]))


if __name__ == "__main__":
    main()
