"""Which networks are taken, and whether rightly: ``python -m benchmarks.breadth.run``.

Needs the extras ``vision`` and ``transformers``, and timm and segmentation_models_pytorch. Each network of
the list runs in a process of its own; results are kept in results.jsonl, and those that are there are not
found again, unless ``--again`` names them. Writes RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.breadth.cell import measure
from benchmarks.breadth.networks import all_networks
from benchmarks.breadth.report import page

HERE = Path(__file__).parent
PARTS = ("traced", "all", "operands")  # what comes later has what comes before it, but for the last
PATIENCE = 300.0  # seconds for one network
PACKAGES = ["torchvision", "timm", "segmentation_models_pytorch", "transformers", "benchmarks.breadth.warm"]


def in_process(context: Any, name: str, part: str) -> dict[str, Any]:
    """What is found about a network before its process ends, crashes, or its time is up."""
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, part, sending))
    began = time.perf_counter()
    process.start()
    sending.close()
    found: dict[str, Any] = {"name": name}
    try:
        while receiving.poll(max(0.0, PATIENCE - (time.perf_counter() - began))):
            found |= receiving.recv()
        found[f"{part} ended"] = f"not within {PATIENCE:.0f} s"
    except EOFError:
        process.join()
        found[f"{part} ended"] = "well" if process.exitcode == 0 else f"with code {process.exitcode}"
    process.kill()
    process.join()
    return found | {f"{part} seconds": round(time.perf_counter() - began, 1)}


def stored(path: Path) -> dict[str, dict[str, Any]]:
    """The latest result of each network."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {found["name"]: found for found in map(json.loads, lines)}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breadth.run", description=__doc__)
    parser.add_argument("--only", default="", help="networks whose names contain this")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["all", "operands"])
    parser.add_argument("--again", action="store_true", help="those that have a result, too")
    parser.add_argument("--report", action="store_true", help="only write the page")
    parser.add_argument("--folder", type=Path, default=HERE, help="of results.jsonl and RESULTS.md")
    options = parser.parse_args(arguments)
    path = options.folder / "results.jsonl"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PACKAGES)
    done = stored(path)
    for part in () if options.report else options.parts:
        for name, network in all_networks().items():
            known = done.get(name, {})
            has = {each for each in PARTS if f"{each} ended" in known}
            if part == "operands":
                there = not network.attends or "path" not in known or part in has
            else:
                there = bool(has & {part, "all"})
            if options.only not in name or (there and not options.again):
                continue
            found = in_process(context, name, part)
            done[name] = (known if part == "operands" else {}) | found
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[name]) + "\n")
            print(f"{found[f'{part} seconds']:6.1f} s  {name}, {part}: {found[f'{part} ended']}", flush=True)
    ordered = [done[name] for name in all_networks() if name in done]
    path.write_text("".join(json.dumps(found) + "\n" for found in ordered), encoding="utf-8")
    (options.folder / "RESULTS.md").write_text(page(ordered, len(all_networks())), encoding="utf-8")


if __name__ == "__main__":
    main()
