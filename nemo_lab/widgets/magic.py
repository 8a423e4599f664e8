"""``%nemo digits``: a dashboard from one word."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from nemo_lab.errors import ArgumentError, NemoError

USAGE = (
    "%nemo [WORKLOAD] [--seed N] [--preset NAME] [--population N] [--species NAME,NAME] [--start EVALUATIONS]"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ArgumentError(f"%nemo: {message}", f"usage: {USAGE}") from None


def nemo(line: str) -> Any:
    """%nemo digits: open the dashboard of a fresh study; its study is dashboard.study.

    %nemo [WORKLOAD] [--seed N] [--preset NAME] [--population N] [--species NAME,NAME] [--start EVALUATIONS]
    """
    from nemo_lab.study.parsing.budget import budget
    from nemo_lab.widgets.dashboard import Dashboard

    parser = _Parser(prog="%nemo", add_help=False)
    parser.add_argument("workload", nargs="?", default="digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--population", type=int)
    parser.add_argument("--species")
    parser.add_argument("--start", type=int)
    try:
        words = shlex.split(line)
    except ValueError as error:
        parser.error(str(error))
    given = parser.parse_args(words)
    options: dict[str, Any] = {"seed": given.seed, "preset": given.preset, "population": given.population}
    if given.species:
        options["species"] = given.species.split(",")
    budget(given.start, None, 0)  # refused before anything is built
    dashboard = Dashboard(given.workload, **options)
    if given.start is not None:
        dashboard.study.start(given.start)
    return dashboard


def load(ipython: Any) -> None:
    """Register the magic; errors of ours show without a traceback."""
    ipython.register_magic_function(nemo, "line", "nemo")
    ipython.set_custom_exc((NemoError,), _show)


def unload(ipython: Any) -> None:
    """Forget the magic."""
    ipython.magics_manager.magics["line"].pop("nemo", None)
    ipython.set_custom_exc((), None)


def _show(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, **_: Any) -> Any:
    """One line in place of a long traceback; Python's own stays one ``%tb`` away."""
    shell.showtraceback((kind, error, None))
