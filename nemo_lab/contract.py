"""What problems and species promise by what they are, before anything is asked of them.

One rule for everybody who takes one in: ``create_study``, ``load_study``, and the checks of
``nemo_lab.testing``, which go on to evaluate.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ContractError, shown
from nemo_lab.numeric import real_numbers, wrong_number

NO_SPECIES = "no species"  # what tables call the origin of a configuration that no species made
MOST_OBJECTIVES = 31  # of which moocore computes a hypervolume
FREE = ("sensitivity",)  # what problems may have called something else by, before it meant something
COLUMNS = ("config", "species", "generation", "origin")  # of the tables of a study, beside the objectives


def hooks_of(base: type) -> frozenset[str]:
    """The public names of a base class: everything that the engine reads."""
    return frozenset(name for name in (*vars(base), *base.__annotations__) if not name.startswith("_"))


def check_object(given: Any) -> None:
    """Refuse a class where one of its objects is meant.

    Raises:
        ContractError: says how an object is made.
    """
    if isinstance(given, type):
        raise ContractError(f"{given.__name__} is a class", f"give an object of it: {given.__name__}(...)")


def check_kinds(given: Any, base: type) -> None:
    """Whether what the base class calls a method is one, and takes what it says, and anything else is none.

    Raises:
        ContractError: at the first hook of another kind.
    """
    for hook in sorted(hooks_of(base)):
        _check_kind(given, hook, base)


def check_description(problem: Any) -> None:
    """All that a problem says of itself, from its nodes to the bounds of its objectives.

    Raises:
        ContractError: at the first that cannot be; says how to mend it.
    """
    count = problem.num_nodes
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ContractError(f"num_nodes is {shown(count)}", "make it a whole number of at least 1")
    _check_names("node_names", problem.node_names, int(count))
    _check_names("objective_names", problem.objective_names)
    _check_columns(problem.objective_names)
    if len(problem.objective_names) > MOST_OBJECTIVES:
        raise ContractError(
            f"{len(problem.objective_names)} objectives", f"name at most {MOST_OBJECTIVES}, or add some up"
        )
    _check_widths(problem.bit_widths)
    if problem.allowed is not None:
        _check_allowed(problem.allowed, int(count), problem.bit_widths)
    for name, text in (("title", problem.title), ("metric", problem.metric)):
        if not isinstance(text, str):
            raise ContractError(f"{name} is {shown(text)}", "give a text")
    _check_features(problem.node_features, int(count))
    for name, graph in (("edges", problem.edges), ("topology", problem.topology)):
        _check_graph(name, graph, int(count))
    _check_costs(problem.cost_names, problem.objective_names)
    check_bounds(problem)


def check_bounds(problem: Any) -> NDArray[np.float64]:
    """The reachable box, float64[2, K].

    Raises:
        ContractError: if it is none.
    """
    count = len(problem.objective_names)
    bounds = _numbers("objective_bounds", problem.objective_bounds, "float[2, K]: the best and the worst")
    if bounds.shape == (2, count) and (wrong := wrong_number(bounds)):
        raise ContractError(
            f"objective_bounds are {wrong}", "give the best and the worst that can be reached"
        )
    if bounds.shape != (2, count) or not np.all(bounds[0] <= bounds[1]):
        raise ContractError(
            f"objective_bounds have shape {bounds.shape}, or a best above its worst",
            "give float[2, K]: the best and the worst that can be reached",
        )
    return bounds


def check_fingerprint(found: Any) -> None:
    """What a problem gives as its fingerprint.

    Raises:
        ContractError: if it is not one text or more, by part.
    """
    whole = isinstance(found, Mapping) and all(isinstance(one, str) for pair in found.items() for one in pair)
    if not whole or not found:
        raise ContractError(
            f"fingerprint returned {shown(found)}", "return a dict of texts, one digest a part"
        )


def _check_kind(given: Any, hook: str, base: type) -> None:
    """A method is a method that takes what the base class says, and anything else is none."""
    member = getattr(given, hook, None)
    if member is None or (hook in FREE and not callable(member)):  # left out, or said to be missing
        return
    wanted = vars(base).get(hook)
    optional = str(base.__annotations__.get(hook, "")).startswith("Callable")
    if not inspect.isfunction(wanted):
        if callable(member) and not optional:
            raise ContractError(f"{hook} is a method", "make it a property or a plain attribute")
        if optional and not callable(member):
            raise ContractError(f"{hook} is {shown(member)}", "make it a method, or leave it out")
        return
    arguments = list(inspect.signature(wanted).parameters)[1:]
    form = f"{hook}({', '.join(arguments)})"
    if not callable(member):
        raise ContractError(f"{hook} is {shown(member)}", f"make it a method {form}")
    check_call(member, hook, arguments)


def check_call(given: Any, name: str, arguments: Sequence[str]) -> None:
    """Whether something can be called with so many arguments.

    Raises:
        ContractError: if not; says how it is called.
    """
    try:
        signature = inspect.signature(given)
    except Exception:  # compiled code does not say, and what an object's own methods raise
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        form = f"{name}({', '.join(arguments)})"
        raise ContractError(f"{name} takes {signature}", f"it is called as {form}") from error


def _array(name: str, given: Any, wanted: str) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except Exception as error:  # ragged, or what its own methods raise
        raise ContractError(f"{name} are {shown(given)}", f"give {wanted}") from error


def _numbers(name: str, given: Any, wanted: str) -> NDArray[np.float64]:
    try:
        return real_numbers(given)
    except ValueError as error:
        raise ContractError(f"{name} are {shown(given)}", f"give {wanted}, not {error}") from error


def _check_names(name: str, values: Any, length: int | None = None) -> None:
    names = list(values) if isinstance(values, list | tuple) else []
    if not names or not all(isinstance(one, str) and one.strip() and _written(one) for one in names):
        raise ContractError(f"{name} are {shown(values)}", "give a tuple of texts that are not blank")
    if len(set(names)) < len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise ContractError(f"{name} has {twice!r} twice", "give each a name of its own")
    if length is not None and len(names) != length:
        raise ContractError(f"{len(names)} {name} for {length} nodes", "give one name per node")


def _check_columns(objectives: Sequence[str]) -> None:
    """Tables have a column for each objective, and some of their own."""
    taken = [name for name in objectives if name in COLUMNS]
    if taken:
        raise ContractError(
            f"objective_names has {taken[0]!r}, which is another column of tables",
            "rename the objective, or the table or function that it comes from",
        )


def _written(text: str) -> bool:
    """Whether a file can hold it: a lone surrogate cannot be written."""
    return text == text.encode(errors="replace").decode()


def _check_widths(given: Any) -> None:
    widths = list(given) if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else []
    plain = [type(width) is int or isinstance(width, np.integer) for width in widths]
    if (
        not widths
        or not all(plain)
        or widths != sorted(set(widths))
        or not 1 <= widths[0] <= widths[-1] <= 32
    ):
        raise ContractError(
            f"bit_widths are {shown(given)}", "give whole numbers from 1 to 32, ascending, each once"
        )


def _check_allowed(given: Any, count: int, widths: Sequence[int]) -> None:
    wanted = f"bool[Q, W] with Q = {count} nodes and W = {len(widths)} bit-widths"
    allowed = _array("allowed", given, wanted)
    if allowed.dtype != bool or allowed.shape != (count, len(widths)):
        raise ContractError(f"allowed has shape {allowed.shape} and type {allowed.dtype}", f"give {wanted}")
    without = [f"node {node} may take no width" for node in np.flatnonzero(~allowed.any(axis=1))]
    without += [
        f"the width {widths[int(place)]} is for no node" for place in np.flatnonzero(~allowed.any(axis=0))
    ]
    if without:
        raise ContractError(f"allowed: {without[0]}", "allow at least one in each row and each column")


def _check_features(given: Any, count: int) -> None:
    features = _numbers("node_features", given, f"float[Q, F] with Q = {count} rows")
    if features.ndim != 2 or len(features) != count or features.shape[1] == 0:
        raise ContractError(
            f"node_features have shape {features.shape}", f"give float[Q, F] with Q = {count} rows"
        )
    if wrong := wrong_number(features):
        raise ContractError(
            f"node_features have a number that is {wrong}", "replace NaN and infinity, or scale them"
        )


def _check_graph(name: str, given: Any, count: int) -> None:
    edges = _array(name, given, "int[2, E]: sources, targets")
    if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
        raise ContractError(
            f"{name} have shape {edges.shape} and type {edges.dtype}", "give int[2, E]: sources, targets"
        )
    if edges.size and not 0 <= edges.min() <= edges.max() < count:
        raise ContractError(f"{name} name nodes that do not exist", f"use positions from 0 to {count - 1}")


def _check_costs(given: Any, objectives: Sequence[str]) -> None:
    if not isinstance(given, list | tuple):
        raise ContractError(f"cost_names are {shown(given)}", "give a tuple of names")
    if len(set(map(repr, given))) < len(given):
        raise ContractError(f"cost_names are {shown(given)}", "name each cost once")
    unknown = [name for name in given if name not in objectives]
    if unknown:
        raise ContractError(f"cost {unknown[0]!r} is not an objective", "name costs as in objective_names")
