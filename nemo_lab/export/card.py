"""The card of a deployed configuration, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nemo_lab._version import __version__
from nemo_lab.errors import DataError
from nemo_lab.export.verification import Verification
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.search.objective import objectives_of
from nemo_lab.study import Study
from nemo_lab.study.results.validation import validate, validate_tuned
from nemo_lab.tuning import TunedNetwork
from nemo_lab.workload.inputs import Leaf

FILES = {
    "net.onnx": "for ONNX Runtime, OpenVINO and others",
    "net.safetensors": "every weight in the bits that it has: `nemo_lab.export.load_packed`",
    "bits.json": "the width of every node: `nemo_lab.export.load_bits`",
    "replay.py": "makes the search again that found it; says where to fill in a problem of your own",
    "net.tuned.pt": "the tuned numbers: `nemo_lab.TunedNetwork.load`",
}
RUN = """```python
import numpy as np, onnxruntime

session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
batch = {{{batch}}}
print(session.run(None, batch)[0])
```"""


def card(
    study: Study,
    config: int,
    tuned: TunedNetwork | None,
    verification: Verification,
    sizes: Mapping[str, int],
) -> str:
    """The text.

    Args:
        study: of a ``QuantizationProblem``.
        config: id of the configuration.
        tuned: what was made of it, or None.
        verification: of the ONNX file.
        sizes: in bytes, by the name of each file.
    """
    problem: QuantizationProblem = study.problem  # type: ignore[assignment]  # it was written to a file
    log, workload = study.snapshot.evaluations, problem.workload
    stored = problem.stored_bytes(log.bits[config])
    row, how = log.bits[config], "" if tuned is None else f", {tuned.method}"
    nodes = [(f"`{one.name}`", one.kind, str(row[one.index])) for one in workload.nodes]
    parts = [
        f"# {study.title}, configuration {config}",
        f"{row.mean():.2f} bits in the mean over {len(row)} bit-widths{how}. Found by nemo_lab {__version__} "
        f"with seed {study.seed} in {len(log):,} evaluations.",
        "## What it does",
        _table(("measured", "value"), _results(study, config, tuned)),
        "## What is in this folder",
        _table(("file", "bytes", "what"), [(f"`{name}`", f"{sizes[name]:,}", FILES[name]) for name in sizes]),
        f"At these widths the weights take {stored[0]:,} bytes, {stored[1]:,} with biases, scales and zero "
        f"points; in float32 they take {4 * workload.params:,}. ONNX holds 2 and 3 bits in 4, 5 to 7 in 8, "
        "and the graph beside them, which is most of a small file.",
        "## How well file and search agree",
        f"```\n{verification}\n```",
        "## How to run it",
        RUN.format(batch=", ".join(f'"{one.name}": {_zeros(one)}' for one in workload.inputs.leaves)),
        "## The bits of every node",
        _table(("node", "kind", "bits"), nodes),
    ]
    return "\n\n".join(parts) + "\n"


def _results(study: Study, config: int, tuned: TunedNetwork | None) -> Iterator[tuple[str, str]]:
    """What was measured, line by line."""
    objectives = objectives_of(study.problem)
    searched = study.snapshot.evaluations.objectives[config]
    now = searched if tuned is None else tuned.evaluate()
    for one, before, value in zip(objectives, searched, now, strict=True):
        after = f", {one.text(before)} before" if tuned is not None and not one.exact else ""
        yield f"{one.label}, in the search" if not one.exact else one.label, one.in_units(value) + after
    try:
        (found,) = validate(study.problem, [study.snapshot.evaluations.bits[config]], None)
    except DataError as error:  # there are none
        yield "on held-out examples", f"not measured: {error.message}"
        return
    told = str(found)
    if tuned is not None:
        told = f"{validate_tuned(study.problem, [tuned], None)[0]}, {found} before"
    yield f"{found.objective.label}, on held-out examples", told


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _zeros(leaf: Leaf) -> str:
    kind = str(leaf.dtype).removeprefix("torch.")
    return f'np.zeros({(1, *leaf.shape)}, "{"float32" if leaf.dtype.is_floating_point else kind}")'
