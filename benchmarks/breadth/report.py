"""The page of results: what was taken and whether rightly, every difference with its reason."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.breadth.explained import MACS, WEIGHTS

Found = dict[str, Any]
SAME = 1e-4  # of the deviation of the outputs
PACKAGES = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "transformers", "numpy", "numba")
STEPS = ("built", "traced", "counted", "weighed", "same", "same at another batch size", "quantized", "timed",
         "operands")  # fmt: skip


def page(found: Sequence[Found], listed: int) -> str:
    """The whole page; ``listed`` networks are in the list, whether run by now or not."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    parts = [
        "# Breadth: the networks that people bring",
        f"`OMP_NUM_THREADS=1 python -m benchmarks.breadth.run`, "
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), "
        f"no accelerator, Python {platform.python_version()}, {versions}. The machine had other work.",
        ABOUT,
        _summary(found, listed),
        "## Traced, counted, and the same",
        TAKEN,
        _table(TAKEN_HEAD, map(_taken, found)),
        "## Rounded, and what an evaluation costs",
        ROUNDED,
        _table(ROUNDED_HEAD, (_rounded(one) for one in found if "path" in one)),
        "## What did not go well",
        _failures(found),
        "## Differences in MACs",
        _differences(found, "macs", MACS),
        "## Differences in weights",
        _differences(found, "weights", WEIGHTS),
    ]
    return "\n\n".join(parts) + "\n"


ABOUT = """Random weights from a fixed seed, evaluation mode, images as small as a family takes, small
configurations of transformers, batches of 2 to 4. Vectors and constants get noise, so that scales of 1e-6
and zeros do not hide a branch, and batch norms see one batch. Each network has a process of its own. The
list was fixed before any network was run; `vision.py`, `timm_models.py` and `language.py` have it."""
TAKEN = """*Decisions* are weights + activations. *MACs* are `Workload.macs`, for one example; *counter* is
what `torch.utils.flop_counter` finds for the module itself, attention in its plain form, less that: 0 is
agreement. *Weights* are `Workload.params`, *used* the numbers in matrices by which the outputs have a
gradient, less that; *vectors* (biases, norms and scales) and *unused* matrices are what else the parameters
hold. *Same* is the largest distance between `workload.graph` and the module on fresh random inputs, at the
batch size of the example and at another, in deviations of the output. *Kept* says whether numbers, flags
and hooks of the module are as before."""
ROUNDED = """All nodes at 8, or at 4 bits, ranges from 4 random examples, measured on 4 others: the ratio of
signal to noise of all outputs in dB, and the divergence `kl` where outputs are scores. *Operands* is the
same with `activations="operands"`. Time is one evaluation at 8 bits over a forward of the module, the same
4 examples, one thread, medians of 5, nothing kept between evaluations. Random weights have small margins
and no redundancy: 4 bits by plain ranges are expected to be poor."""
TAKEN_HEAD = (
    "network", "path", "decisions", "MACs", "counter", "weights", "used", "vectors", "unused", "same", "kept",
)  # fmt: skip
ROUNDED_HEAD = (
    "network", "dB at 8", "at 4", "kl at 8", "at 4", "operands", "dB at 8", "at 4", "kl at 8", "at 4", "time",
)  # fmt: skip


def worst(one: Found) -> float:
    """The larger of the two distances; NaN if one could not be found."""
    both = [one.get(name, float("nan")) for name in ("same", "same at another batch size")]
    return float("nan") if any(x != x for x in both) else max(both)


def _summary(found: Sequence[Found], listed: int) -> str:
    traced = [one for one in found if "path" in one]
    paths = {path: sum(one["path"] == path for one in traced) for path in ("torch.fx", "torch.export")}
    well = [one for one in traced if worst(one) <= SAME and one.get("unchanged")]
    equal = {
        key: sum(_difference(one, key) == 0 for one in traced if _difference(one, key) is not None)
        for key in ("macs", "weights")
    }
    evaluated = [one for one in traced if "snr 8" in one]
    lines = [
        f"{len(found)} of the {listed} networks of the list were run; {len(traced)} traced "
        f"({paths['torch.fx']} by torch.fx, {paths['torch.export']} by torch.export), "
        f"{len(found) - len(traced)} not.",
        f"{len(well)} of the {len(traced)} give what the module gives at both batch sizes, and leave it as "
        "it was.",
        f"MACs are those of the counter for {equal['macs']}, weights those with a gradient for "
        f"{equal['weights']}.",
        f"{len(evaluated)} were evaluated at 8 and 4 bits.",
    ]
    times = [one["times"]["evaluation"] / one["times"]["plain"] for one in traced if "times" in one]
    if times:
        lines.append(
            f"An evaluation takes {statistics.median(times):.2f} forwards of the module (median; "
            f"{min(times):.2f} to {max(times):.2f})."
        )
    return "\n".join(f"- {line}" for line in lines)


def _difference(one: Found, key: str) -> int | None:
    """What was found without nemo_lab, less what nemo_lab says."""
    other = one.get("counter", {}).get("macs") if key == "macs" else one.get("stored", {}).get("matrices")
    return None if other is None or key not in one else round(other - one[key])


def _taken(one: Found) -> list[str]:
    refused = "path" not in one
    stored = one.get("stored", {})
    return [
        one["name"],
        "refused" if refused else one["path"],
        "-" if refused else " + ".join(map(str, one["decisions"])),
        _count(one.get("macs")),
        _count(_difference(one, "macs")),
        _count(one.get("weights")),
        _count(_difference(one, "weights")),
        _count(stored.get("vectors")),
        _count(stored.get("unused")),
        "-"
        if refused
        else "not found"
        if worst(one) != worst(one)
        else f"{worst(one):.0e}".replace("0e+00", "0"),
        {True: "yes", False: "**no**", None: "-"}[one.get("unchanged")],
    ]


def _rounded(one: Found) -> list[str]:
    operands = [_number(one.get(f"operands {name}")) for name in ("snr 8", "snr 4", "kl 8", "kl 4")]
    times = one.get("times")
    return [
        one["name"],
        *(_number(one.get(name)) for name in ("snr 8", "snr 4", "kl 8", "kl 4")),
        " + ".join(map(str, one.get("operands decisions", ["-"]))),
        *operands,
        f"{times['evaluation'] / times['plain']:.2f}" if times else "-",
    ]


def _failures(found: Iterable[Found]) -> str:
    lines = []
    for one in found:
        ends = {part: one.get(f"{part} ended", "well") for part in ("traced", "all", "operands")}
        lines += [
            f"- {one['name']}, {part}: the process ended {end}."
            for part, end in ends.items()
            if end != "well"
        ]
        failed = [step for step in STEPS if f"{step}: error" in one]
        lines += [f"- {one['name']}, {step}: {_plain(one[f'{step}: error'])}" for step in failed]
        if "path" in one and worst(one) > SAME:
            lines.append(f"- {one['name']}: the graph is {worst(one):.1g} deviations off.")
    return "\n".join(lines) or "Nothing."


def _differences(found: Iterable[Found], key: str, reasons: dict[str, str]) -> str:
    lines = []
    for one in found:
        difference = _difference(one, key)
        if difference:
            why = [text for pattern, text in reasons.items() if re.search(pattern, one["name"])]
            lines.append(f"- {one['name']}: {difference:+,}. {' '.join(why) or '**Not explained.**'}")
    return "\n".join(lines) or "None."


def _plain(message: str) -> str:
    """One line, without what Markdown would read."""
    return re.sub(r"\s+", " ", message).replace("|", "/").replace("<", "(").replace(">", ")")[:600]


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0e}" if abs(value) < 0.1 else f"{value:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
