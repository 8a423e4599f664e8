"""``python -m benchmarks.workers.run``: the page ``benchmarks/workers/RESULTS.md``, part by part."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from benchmarks.workers import ahead, throughput

PAGE = Path(__file__).parent / "RESULTS.md"
HEAD = [
    "# Many workers",
    "",
    "Written by `OMP_NUM_THREADS=1 python -m benchmarks.workers.run`; see docs/scale.md.",
]


def main() -> None:
    """Make the parts that are asked for, and put them in the page in place of those before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["ahead", "dask", "processes"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--problems", nargs="+", default=["mobilenet_v2", "resnext101_32x8d"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    made: dict[str, list[str]] = {}
    if "ahead" in options.parts:
        made["What going ahead costs"] = [
            f"Normalised hypervolume, mean over {options.seeds} seeds and half of their range. "
            "One worker gives the same table as many.",
            *ahead.table(options.problems, options.seeds, options.evaluations),
        ]
    if "dask" in options.parts:
        made["Workers that are kept at work"] = [
            f"An evaluator that sleeps {throughput.SECONDS:g} s; 36 nodes; "
            "the engine's processor time for each evaluation, Dask's included.",
            "",
            "| workers | options | evaluations | took | ideal | used | engine |",
            "|---|---|---|---|---|---|---|",
            throughput.dask_threads(64, 20, ahead=0),
            throughput.dask_threads(64, 20, ahead=64),
            throughput.dask_threads(64, 20, ahead=96),
            throughput.dask_threads(256, 12, ahead=384),
            throughput.dask_threads(256, 12, ahead=384, offspring=64),
        ]
    if "processes" in options.parts:
        made["Two processes against one"] = [
            "Evaluations a second on two cores, caches cold on both sides, in turns; the median of three.",
            "",
            "| network | evaluations | one | two | ratio |",
            "|---|---|---|---|---|",
            throughput.processes("fashion", 150),
            throughput.processes("mobilenet_v2", 24, images=64),
        ]
    PAGE.write_text(_merged(made))


def _merged(made: dict[str, list[str]]) -> str:
    """The page with new parts in place of the old ones."""
    parts: dict[str, str] = {}
    if PAGE.exists():
        for part in PAGE.read_text().split("\n## ")[1:]:
            title, _, text = part.partition("\n")
            parts[title] = text.strip()
    parts |= {title: "\n".join(lines).strip() for title, lines in made.items()}
    return "\n".join(HEAD) + "".join(f"\n\n## {title}\n\n{text}" for title, text in parts.items()) + "\n"


if __name__ == "__main__":
    main()
