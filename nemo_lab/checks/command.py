"""``python -m nemo_lab check``: the same from a shell."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from nemo_lab.checks.check import check
from nemo_lab.checks.report import CheckReport
from nemo_lab.checks.subject import is_module
from nemo_lab.errors import ArgumentError, NemoError, UnknownNameError
from nemo_lab.workload.zoo import EMBEDDED, VISION

USAGE = 2  # exit status of a wrong call, as argparse has it
EXAMPLES = """\
examples:
  python -m nemo_lab check digits
  python -m nemo_lab check my_network.py:make_problem
  python -m nemo_lab check my_package.networks:net_and_example --json

The exit status is 0 if it can be searched, 1 if not, 2 on a wrong call."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status.

    Args:
        arguments: in place of the process's own.
    """
    parser = argparse.ArgumentParser("python -m nemo_lab", description="Mixed-precision quantization.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    checks = commands.add_parser(
        "check",
        help="whether a network can be searched, what it takes, and what is amiss",
        description="Says whether a network can be searched, what that takes, and what is amiss.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    checks.add_argument(
        "what",
        help="the name of a workload; or FILE.py:NAME or MODULE:NAME, whose code is run: a Workload, a "
        "problem, (module, example), or a function without arguments that returns one of these",
    )
    checks.add_argument("--json", action="store_true", help="all figures, for programs")
    checks.add_argument("--seconds", type=float, default=60, help="that trials of other settings may take")
    options = parser.parse_args(arguments)
    try:
        made = load(options.what)
    except _CallError as error:
        return _refused(error.reason, USAGE)
    except NemoError as error:
        return _refused(error, 1)
    try:
        report = check(*made, seconds=options.seconds)
    except NemoError as error:  # what is not in a report: the call itself
        return _refused(error, USAGE)
    sys.stdout.write(f"{_json(report) if options.json else report}\n")
    return 0 if report.ok else 1


class _CallError(Exception):
    """A wrong call."""

    def __init__(self, reason: NemoError) -> None:
        self.reason = reason


def load(what: str) -> tuple[Any, ...]:
    """What is checked, and an example if there is one; the code of a file or module that is named is run."""
    if what in EMBEDDED or what in VISION:
        return (what,)
    place, _, name = what.rpartition(":")
    if not place or not name:
        if what.endswith(".py"):
            raise _CallError(ArgumentError(f"nothing in {what!r} is named", f"give {what}:NAME"))
        known = [*EMBEDDED, *VISION]
        raise _CallError(UnknownNameError("workload", what, known))
    module = _of_file(Path(place)) if place.endswith(".py") else _of_package(place)
    if not hasattr(module, name):
        held = vars(module).items()
        public = [one for one, value in held if not one.startswith("_") and not isinstance(value, ModuleType)]
        raise _CallError(UnknownNameError(f"attribute of {place},", name, public))
    found = getattr(module, name)
    made = is_module(found) or (hasattr(found, "evaluate") and not isinstance(found, type))
    if callable(found) and not made:
        found = _returned(what, found)
    if is_module(found):
        raise _CallError(
            ArgumentError(
                f"{what!r} is a network without an example of its input",
                "name a pair (network, example), or a function without arguments that returns one",
            )
        )
    return found if isinstance(found, tuple) and len(found) == 2 else (found,)


def _returned(what: str, function: Any) -> Any:
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise _CallError(
            ArgumentError(f"{what!r} cannot be called: {error}", "name a function without arguments")
        ) from error
    except ValueError:  # compiled code does not say
        pass
    return function()


def _of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise _CallError(ArgumentError(f"there is no file {str(path)!r}", "give FILE.py:NAME"))
    sys.path.insert(0, str(path.parent.resolve()))  # as for a script
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _of_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that it imports itself
        raise _CallError(
            ArgumentError(f"there is no module {name!r}", "give MODULE:NAME or FILE.py:NAME")
        ) from error


def _json(report: CheckReport) -> str:
    return json.dumps(report.to_dict(), indent=2)


def _refused(error: NemoError, status: int) -> int:
    hint = f"\n{error.hint}" if error.hint else ""
    sys.stderr.write(f"{error.message}{hint}\n")
    return status
