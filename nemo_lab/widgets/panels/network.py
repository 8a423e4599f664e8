"""The panel of the network, a node for every bit-width."""

from __future__ import annotations

from collections.abc import Iterable

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.plots.graph import DRAG
from nemo_lab.plots.graph_columns import SIZES
from nemo_lab.plots.graph_layout import folded_at_first, graph_layout, shut_at_first
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.panels.base import Panel, field, row, title
from nemo_lab.widgets.panels.network_colouring import BITS, Measures
from nemo_lab.widgets.view_state import Hub, View
from nemo_lab.workload.matching import fitting

LISTED = 3  # selected nodes that are named


class GraphPanel(Panel):
    """The network in execution order; nodes are selected by tap, box, name, glob and kind."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self.info = infos.graph_info(problem)
        self._folded, self._shut = folded_at_first(self.info), shut_at_first(self.info)
        self._measures = Measures(hub, self.aside)
        self.figure = Figure(
            lambda: plots.graph_plot(self.info),
            selectable={"nodes": True, "folded": False, "blocks": False, "stages": False},
            on_select=self._tapped,
            on_box=self._boxed,
        )
        self.figure.observe(lambda _: hub.redraw(), names=["ranges", "pixels"])  # what has room is numbered
        self.figure.drag = next(iter(DRAG))
        self.figures = (self.figure,)
        self.legend = w.HTML()
        self.chosen = w.HTML()
        self._compose(
            [
                title(f"Network: {len(problem.node_names)} bit-widths"),
                row(*self._looks()),
                self.legend,
                self.figure,
                row(*self._finding()),
                self.chosen,
            ]
        )
        self._arrange()

    def _looks(self) -> list[w.Widget]:
        """What colour and size show, and what part of the network."""
        self.color = field(w.Dropdown, "Colour", 170, 48, options=self._measures.names)
        self.size = field(w.Dropdown, "Size", 210, 32, options=list(SIZES))
        self.drag = field(
            w.Dropdown, "Dragging", 170, 64, options=[(label, key) for key, label in DRAG.items()]
        )
        self.drag.observe(self._drag, names="value")
        self.color.observe(lambda change: self._measures.choose(change["new"]), names="value")
        self.size.observe(lambda _: self.hub.redraw(), names="value")
        buttons = [
            self.button("Zoom in", "Show half of what is shown", lambda: self._move(0.25, 0.75)),
            self.button("Zoom out", "Show twice of what is shown", lambda: self._move(-0.5, 1.5)),
            self.button("Left", "What comes before", lambda: self._move(-0.5, 0.5)),
            self.button("Right", "What comes after", lambda: self._move(0.5, 1.5)),
            self.button("Whole", "Show the whole network", lambda: self._show_part(-np.inf, np.inf)),
            self.button("Show selected", "Move to the selected nodes", self._show_selected),
        ]
        return [self.color, self.size, self.drag, *buttons]

    def _finding(self) -> list[w.Widget]:
        """Selection by name and kind, and folding: the twins of tap and box."""
        self.find = field(w.Text, "Find", 220, 32, placeholder="part of a name, or a glob")
        self.find.observe(lambda _: self.hub.redraw(), names="value")
        self.find.on_msg(self._submitted)
        self.kind = field(w.Dropdown, "Kind", 200, 36, options=list(self.study.kinds))
        # stages are -1, -2, ...
        blocks = [(f"{label} (stage)", -1 - stage) for stage, (label, _, _) in enumerate(self.info.stages)]
        blocks += [(label, group) for group, (label, _, _) in enumerate(self.info.groups)]
        self.block = field(w.Dropdown, "Block", 200, 40, options=blocks)
        return [
            self.find,
            self.button("Select found", "Select every node whose name fits", self._find),
            self.kind,
            self.button(
                "Select kind",
                "Select every node of this kind",
                lambda: self.hub.select_nodes(self.study.positions(kind=str(self.kind.value))),
            ),
            self.block,
            self.button(
                "Open or fold", "Open this block, or fold it", lambda: self._turn(int(self.block.value))
            ),
            self.button("Select block", "Select every node of this block", self._select_block),
            self.button("Fold all", "Fold every block", lambda: self._fold(range(len(self.info.groups)))),
            *self._fold_stages(),
            self.button("Open all", "Open every block", lambda: self._fold(())),
            self.button("Select none", "Select no node", lambda: self.hub.select_nodes(())),
        ]

    def _fold_stages(self) -> list[w.Widget]:
        stages = range(len(self.info.stages))
        fold = self.button("Fold stages", "Fold every stage", lambda: self._fold(self._folded, stages))
        return [fold] if stages else []

    def _drag(self, change: dict[str, str]) -> None:
        self.figure.drag = change["new"]

    def _tapped(self, name: str, keys: list[int]) -> None:
        if name == "nodes":
            self.hub.select_nodes(tuple(keys))
        elif keys:
            self.do(lambda: self._turn(-1 - keys[-1] if name == "stages" else keys[-1]))

    def _boxed(self, _: str, box: tuple[float, ...]) -> None:
        """Folded blocks in a box are selected, too; BokehJS has told of the open nodes before."""
        layout, (x0, x1, y0, y1) = self._layout, box
        inside = layout.folded[layout.block] & (x0 <= layout.x) & (layout.x <= x1)
        inside &= (y0 <= layout.y) & (layout.y <= y1)
        if inside.any():
            self.hub.select_nodes(tuple({*self.hub.nodes, *np.flatnonzero(inside).tolist()}))

    def _submitted(self, _: object, content: object, __: object) -> None:
        if isinstance(content, dict) and content.get("event") == "submit":  # the Enter key
            self.do(self._find)

    def _found(self) -> list[int]:
        """Nodes that have what is typed in their name, in any case, else those that it fits as a glob.

        A search while people type, and so by parts of names, which select nothing anywhere else.
        """
        wanted, names = self.find.value.strip().lower(), [name.lower() for name in self.info.names]
        if not wanted:
            return []
        having = [node for node, name in enumerate(names) if wanted in name]
        fit = set() if having else set(fitting(names, wanted))
        return having or [node for node, name in enumerate(names) if name in fit]

    def _find(self) -> None:
        wanted, found = self.find.value.strip(), self._found()
        if not found:
            raise ValueError(f"no node's name has {wanted!r} in it" if wanted else "type a part of a name")
        blocks = {group for group, (_, first, last) in enumerate(self.info.groups)
                  if any(first <= node <= last for node in found)}  # fmt: skip
        stages = {stage for stage, (_, first, last) in enumerate(self.info.stages)
                  if any(first <= group <= last for group in blocks)}  # fmt: skip
        self._fold(self._folded - blocks, self._shut - stages)
        self.hub.select_nodes(tuple(found))

    def _select_block(self) -> None:
        part = int(self.block.value)
        _, begin, end = self.info.stages[-1 - part] if part < 0 else ("", part, part)
        nodes = range(self.info.groups[begin][1], self.info.groups[end][2] + 1)
        self.hub.select_nodes(tuple(nodes))

    def _turn(self, part: int) -> None:
        """Open or fold a block, or a stage (-1 is the first); for a block in a folded stage open that."""
        if part < 0:
            self._fold(self._folded, self._shut ^ {-1 - part})
            return
        around = {stage for stage, (_, first, last) in enumerate(self.info.stages) if first <= part <= last}
        if around & self._shut:
            self._fold(self._folded, self._shut - around)
        else:
            self._fold(self._folded ^ {part}, self._shut)

    def _fold(self, groups: Iterable[int], stages: Iterable[int] = ()) -> None:
        """Fold these blocks and stages; who saw a part of the network still sees what was in the middle."""
        low, high = self.figure.ranges["network"]
        span, before = high - low, self._layout
        self._folded, self._shut = frozenset(groups), frozenset(stages)
        self._arrange()
        if span < before.width:
            middle = int(np.abs(before.x - (low + high) / 2).argmin())
            at = float(self._layout.x[middle])
            self._show_part(at - span / 2, at + span / 2)
        self.hub.redraw()

    def _arrange(self) -> None:
        self._layout = graph_layout(self.info, self._folded, self._shut)
        self._show_part(-np.inf, np.inf)

    def _show_selected(self) -> None:
        nodes = list(self.hub.nodes)
        if not nodes:
            raise ValueError("no node is selected")
        places = self._layout.x[nodes]
        self._show_part(float(places.min()) - 2, float(places.max()) + 2)

    def _move(self, start: float, end: float) -> None:
        """Show what lies between two parts of what is shown."""
        low, high = self.figure.ranges["network"]
        self._show_part(low + start * (high - low), low + end * (high - low))

    def _show_part(self, start: float, end: float) -> None:
        whole = (-1.0, self._layout.width)
        if end - start >= whole[1] - whole[0]:
            start, end = whole
        span = max(end - start, 4.0)
        start = min(max(start, whole[0]), whole[1] - span) if span < whole[1] - whole[0] else whole[0]
        self.figure.ranges = {"network": [start, min(start + span, whole[1])]}

    def show(self, view: View) -> None:
        """See ``Panel``."""
        widths, pins, size = self.problem.bit_widths, view.snapshot.pins, str(self.size.value)
        measured = self._measures.values(view.shown)
        low, high = self.figure.ranges["network"]
        found = self._found()
        columns = plots.graph_columns(
            self.info, view.shown, widths, pins, self._layout, measured=measured,
            known=self._measures.known(view.shown), size=size, selected=view.nodes, found=found,
            seen=(low, high), pixels=self.figure.pixels,
        )  # fmt: skip
        self.figure.show(columns, {"nodes": view.nodes})
        if self._measures.failed:
            self._measures.failed, self.color.value = False, BITS
        if self._measures.chosen == BITS:
            self.legend.value = markup.width_legend(widths)
        else:
            self.legend.value = self._measures.legend(measured)
        fits = f"{len(found)} names fit" if self.find.value.strip() else ""
        self.chosen.value = markup.selected_nodes(self.info.names, view.nodes, LISTED, fits)
