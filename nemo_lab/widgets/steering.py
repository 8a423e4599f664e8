"""The panel that steers: pins, wishes, species, and what was done with its undoing."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w

from nemo_lab.search import Problem
from nemo_lab.study import Snapshot, Study
from nemo_lab.widgets import text
from nemo_lab.widgets.panels import WRAP, Do, button, title
from nemo_lab.widgets.wishes import History, SpeciesControls, Wishes


class Steering:
    """Everything by which a person steers a run.

    Args:
        study: to be steered.
        do: carries an action out soon.
        on_nodes: told which nodes are selected.
        on_try: told to evaluate the selected configuration with nodes, by name or glob, at a width.
        selected: gives the selected configuration, None if there is none.
    """

    def __init__(
        self,
        study: Study,
        do: Do,
        on_nodes: Callable[[tuple[int, ...]], None],
        on_try: Callable[[str | list[str], int], None],
        selected: Callable[[], int | None],
    ) -> None:
        problem: Problem = study.problem
        self._problem = problem
        self._shown: tuple[int, ...] = ()
        names = list(problem.node_names)
        wide = {"description_width": "64px"}
        self.nodes = w.SelectMultiple(
            options=names, rows=8, description="Nodes", style=wide, layout={"width": "min(380px, 98%)"}
        )
        self.nodes.observe(lambda change: on_nodes(tuple(change["new"])), names="index")
        self.matching = w.Text(
            placeholder="or a glob such as *.weight", description="matching", style=wide,
            layout={"width": "min(380px, 98%)"},
        )  # fmt: skip
        self.width = w.Dropdown(
            options=list(problem.bit_widths),
            value=problem.bit_widths[-1],
            description="to bits",
            style=wide,
            layout={"width": "140px"},
        )
        self.most = w.Dropdown(
            options=[("same", None), *((str(width), width) for width in problem.bit_widths)],
            description="up to",
            style={"description_width": "36px"},
            layout={"width": "110px"},
        )

        def chosen() -> str | list[str]:
            picked = self.matching.value.strip() or [names[i] for i in self.nodes.index]
            if not picked:
                raise ValueError(
                    "no node is selected; select some in the graph or in the list, or type a glob"
                )
            return picked

        def pin() -> None:
            width, most = int(self.width.value), self.most.value
            study.pin(chosen(), width if most is None else (width, int(most)))

        self.pin = button("Pin", "Fix the nodes that match, or are selected", do, pin, "primary")
        self.unpin = button(
            "Unpin", "Free the nodes that match, or are selected", do, lambda: study.unpin(chosen())
        )
        self.unpin_all = button("Unpin all", "Free every node", do, study.unpin)
        self.attempt = button(
            "Try",
            "Evaluate the selected configuration with these nodes at these bits, as part of the run",
            do,
            lambda: on_try(chosen(), int(self.width.value)),
        )
        self.pins = w.HTML()
        self.wishes = Wishes(study, do)
        self.species = SpeciesControls(study, do, selected)
        self.history = History(study, do)
        buttons = [self.width, self.most, self.pin, self.unpin, self.unpin_all, self.attempt]
        self.widget = w.VBox(
            [
                title("Steer"),
                self.nodes,
                self.matching,
                w.HBox(buttons, layout=WRAP),
                self.pins,
                *self.wishes.rows,
                *self.species.rows,
                title("What you did"),
                *self.history.rows,
            ],
            layout={"flex": "1 1 400px", "min_width": "0"},
        )

    def show(self, snapshot: Snapshot, nodes: tuple[int, ...]) -> None:
        """Bring the panel to a snapshot and selected nodes; only the publisher may call it."""
        if nodes != self._shown:  # a newer choice than the glob
            self._shown, self.matching.value = nodes, ""
        if tuple(self.nodes.index) != nodes:
            self.nodes.index = nodes
        self.pins.value = text.pins(snapshot, self._problem)
        self.wishes.state.value = text.wishes(snapshot, self._problem)
        self.species.show(snapshot)
        self.history.show(snapshot, text.log(snapshot))
