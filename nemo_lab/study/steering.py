"""How people steer a run: pins, constraints, an aspiration, the budget, undo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nemo_lab.errors import ArgumentError, StudyStateError
from nemo_lab.search import Ledger, Problem
from nemo_lab.search.constraints import Width
from nemo_lab.study.commands.search import Aspire, Budget, Constrain, Pin, Redo, Undo, Unpin
from nemo_lab.study.parsing.budget import IN_ALL
from nemo_lab.study.parsing.nodes import Selection, gathered, listed_nodes, said
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.study.run.notices import notice, tell_of_waiting
from nemo_lab.study.run.runner import Runner
from nemo_lab.workload.names import Called


class Steering:
    """The part of a ``Study`` that steers where its search goes.

    What is asked for is checked when called, with everything asked before it in mind; it returns at once and
    takes effect before the next evaluation starts.

    Args:
        problem: that is searched.
        runner: of the study.
    """

    def __init__(self, problem: Problem, runner: Runner) -> None:
        self._problem, self._runner = problem, runner
        self._selection = Selection(problem)
        self._objectives = ObjectiveNames(problem)

    def pin(
        self,
        name: Called | Iterable[Called] | Mapping[Any, Width] | None = None,
        bits: Width | None = None,
        *,
        weight: Width | None = None,
        activation: Width | None = None,
        min: int | None = None,  # noqa: A002
        max: int | None = None,  # noqa: A002
        kind: str | None = None,
    ) -> None:
        """Fix bit-widths for everything evaluated from now on, and project the front onto them.

        A width is an integer, or a range (lowest, highest). A new pin replaces what its nodes were pinned to.

        Args:
            name: a node, or a layer or module for all its nodes; a glob such as ``"*.dw.weight"``; a function
                of a node, such as ``lambda node: node.params > 10_000``; several of these; or a mapping from
                them to widths, in which later ones win. What exists under exactly that name is not read as a
                glob.
            bits: the width of all these nodes.
            weight, activation: the widths of the weights of layers, and of the tensors that layers read;
                ``name`` then means layers.
            min, max: the lowest and highest width, in place of ``bits``; one is enough.
            kind: only nodes or layers of that kind, or all of them without ``name``: ``"weight"``,
                ``"activation"``, ``"depthwise"``, or an operation as in ``workload.to_frame()``, which means
                the weights of its layers, or what it makes if it has none.

        Raises:
            UnknownNameError: if there is no such node, layer or kind, or a glob fits nothing.
            BitWidthError: if a width is not among ``problem.bit_widths``.
            ArgumentError: if the arguments do not go together, or a range is empty or leaves every width.

        Warns:
            NemoWarning: if no run is on, so that projected configurations wait for the next.

        >>> import nemo_lab as nl
        >>> study = nl.create_study("digits")
        >>> study.pin(kind="depthwise", min=6)
        >>> study.pin("stem.*", weight=8, activation=(4, 6))
        >>> study.pins["stem.conv.input"], study.pins["blocks.0.depthwise.conv.weight"]
        ((4, 6), (6, 8))
        """
        name = gathered(name)
        pins = self._selection.pins(name, bits, weight, activation, min, max, kind)
        self._runner.post(Pin(pins, said(name, kind)))
        tell_of_waiting(self._runner.snapshot)

    def unpin(self, name: Called | Iterable[Called] | None = None, *, kind: str | None = None) -> None:
        """Free the nodes that ``name`` and ``kind`` select, as for ``pin``, or everything without them.

        Earlier evaluations come back.

        Raises:
            UnknownNameError: if there is no such node, layer or kind, or a glob fits nothing.
            ArgumentError: if none of them is pinned.
        """
        name = gathered(name)
        everything = name is None and kind is None
        chosen = () if everything else self._selection.nodes(name, kind)

        def decided(ledger: Ledger) -> Unpin:
            pinned = ledger.constraints.held
            nodes = tuple(pinned) if everything else tuple(node for node in chosen if node in pinned)
            if not nodes and not everything:
                one = isinstance(name, str) and kind is None
                message = f"{name!r} is not pinned" if one else f"nothing{said(name, kind)} is pinned"
                listed = listed_nodes(tuple(pinned), self._problem.node_names)
                raise ArgumentError(message, f"pinned are: {listed or 'none'}")
            return Unpin(nodes)

        self._runner.post(decided)

    def positions(
        self, name: Called | Iterable[Called] | None = None, *, kind: str | None = None
    ) -> tuple[int, ...]:
        """The nodes that ``name`` and ``kind`` select, as for ``pin``, by position in ``node_names``.

        Raises:
            UnknownNameError: if there is no such node, layer or kind, or a glob fits nothing.
        """
        return tuple(self._selection.nodes(name, kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of nodes that ``pin`` and ``positions`` know."""
        return self._selection.kinds

    @property
    def pins(self) -> dict[str, Width]:
        """The pins in force: node name -> bit-width, or (lowest, highest)."""
        return {
            self._problem.node_names[node]: width
            for node, width in self._runner.ledger.constraints.held.items()
        }

    def constrain(self, *constraints: str) -> None:
        """Ask for what every good configuration keeps, in place of all asked before; nothing frees it.

        The front shows what keeps all of them; until something does, what violates them least.

        Args:
            constraints: of any objective, by its name, as it is shown, or in its units:
                ``"task_error <= 0.1"``, ``"accuracy >= 0.9"``, ``"model_mb <= 2"``, ``"gbops <= 1.5"``.

        Raises:
            ArgumentError: on what cannot be read so.
            UnknownNameError: if there is no such objective.

        Warns:
            NemoWarning: if a limit is out of reach.
        """
        limits = self._objectives.limits(constraints)
        self._runner.post(Constrain(limits))
        for told in self._objectives.out_of_reach(limits):
            notice(f"no configuration is known to keep this: {told}; the front shows what comes nearest")

    @property
    def constraints(self) -> dict[str, float]:
        """The constraints in force: objective -> largest value allowed."""
        names = self._problem.objective_names
        return {names[k]: limit for k, limit in self._runner.ledger.constraints.limits.items()}

    def aspire(self, /, **box: float | tuple[float | None, float | None] | None) -> None:
        """Concentrate the search on a box of objectives, in place of the one before; nothing frees it.

        The front still shows everything; what lies outside is followed up last.

        Args:
            **box: objective, under any name that ``constrain`` takes = its largest value (its smallest, where
                larger is better), or (smallest, largest), of which one may be None. Of several limits on one
                objective all hold.

        Raises:
            ArgumentError: on a box that is empty, or outside of what can be reached.
            UnknownNameError: if there is no such objective.

        >>> import nemo_lab as nl
        >>> study = nl.create_study("digits")
        >>> study.aspire(task_error=0.1, model_ratio=(0.08, 0.15))
        >>> study.aspiration
        {'task_error': (0.0, 0.1), 'model_ratio': (0.08, 0.15)}
        """
        self._runner.post(Aspire(self._objectives.box(box)))

    @property
    def aspiration(self) -> dict[str, tuple[float, float]]:
        """The box in force: objective -> (smallest, largest)."""
        names = self._problem.objective_names
        return {names[k]: box for k, box in self._runner.ledger.constraints.aspiration.items()}

    def set_budget(self, evaluations: int) -> None:
        """Change at how many evaluations in all the run ends, also while it goes on.

        Raises:
            ArgumentError: if it is not a whole number, or more are made already.
        """
        wanted = IN_ALL.check("evaluations", evaluations)
        done = len(self._runner.snapshot.evaluations)
        if wanted < done:
            raise ArgumentError(f"{wanted} evaluations in all, {done} are made", "give more, or call stop()")
        self._runner.post(Budget(wanted))

    def undo(self) -> None:
        """Take back the latest intervention that stands; what was evaluated by then stays.

        Pins, constraints, aspiration, shares and budget are as before, members that were replaced come back,
        and configurations that still wait for it are dropped. The last hundred interventions can be taken
        back; of the members that they replaced, those of the latest are kept, up to 8 MB of genomes.

        Raises:
            StudyStateError: if there is none.
        """

        def decided(ledger: Ledger) -> Undo:
            if not ledger.done:
                raise StudyStateError("there is nothing to undo", "study.interventions() lists what was done")
            return Undo()

        self._runner.post(decided)

    def redo(self) -> None:
        """Make the intervention again that was undone last, unless another came since.

        Raises:
            StudyStateError: if there is none.
        """

        def decided(ledger: Ledger) -> Redo:
            if not ledger.undone:
                raise StudyStateError("there is nothing to redo", "redo() follows undo()")
            return Redo()

        self._runner.post(decided)
