"""Every figure gets the columns its glyphs and tooltips ask for, and is drawn without a network."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator

import pytest
from bokeh.core.property.vectorization import Expr, Field
from bokeh.embed import file_html
from bokeh.models import ColumnDataSource, Glyph, GlyphRenderer, HoverTool
from bokeh.resources import INLINE

from nemo_lab import Study, create_study, plots
from nemo_lab.plots import info as infos
from tests.toy import ToyProblem

Filled = tuple[plots.Plot, plots.Columns]


def figures(study: Study) -> Iterator[Filled]:
    """Every figure of a study with the columns of its snapshot."""
    problem, snapshot = study.problem, study.snapshot
    names = [one.name for one in study.species]
    config = int(snapshot.front[0]) if len(snapshot.front) else None
    bits = None if config is None else snapshot.evaluations.bits[config]
    graph = plots.graph_info(problem)
    front = plots.front_info(snapshot, problem, names)
    widths = problem.bit_widths
    yield plots.front_plot(infos.drawn_objectives(problem)), plots.front_columns(front, config)
    yield (
        plots.graph_plot(len(graph.names), bool(graph.stages)),
        plots.graph_columns(graph, bits, widths, snapshot.pins),
    )
    species = plots.species_info(snapshot, names)
    yield plots.species_plot(names), plots.species_columns(species)
    yield plots.bits_plot(problem.node_names, widths), plots.bits_columns(bits, problem.node_names, widths)


def length(column: plots.figure.Column) -> int:
    return len(column.codes if isinstance(column, plots.Coded) else column)


def fields(renderer: GlyphRenderer) -> set[str]:
    """Every column that any glyph of a renderer refers to."""
    glyphs = (
        renderer.glyph,
        renderer.selection_glyph,
        renderer.nonselection_glyph,
        renderer.hover_glyph,
        renderer.muted_glyph,
    )
    found: set[str] = set()
    for glyph in glyphs:
        if not isinstance(glyph, Glyph):
            continue
        for spec in glyph.properties_with_values(include_defaults=False).values():
            if isinstance(spec, Field):
                found.add(spec.field)
            elif isinstance(spec, Expr):  # a stack of columns
                found |= set(spec.expr.fields)
    return found


@pytest.fixture(params=["toy", "digits", "empty", 1, 2, 4])
def study(request: pytest.FixtureRequest, study_of: Callable[[int], Study]) -> Study:
    if isinstance(request.param, int):
        return study_of(request.param)
    if request.param == "empty":
        return create_study(ToyProblem(), species=("continuous", "floor"))
    found: Study = request.getfixturevalue(f"{request.param}_study")
    return found


def test_columns_of_a_source_are_of_one_length(study: Study) -> None:
    for plot, columns in figures(study):
        assert columns.keys() == plot.sources.keys()
        for name, data in columns.items():
            assert len({length(column) for column in data.values()}) == 1, name


def test_glyphs_and_tooltips_find_their_columns(study: Study) -> None:
    for plot, columns in figures(study):
        named = {id(source): name for name, source in plot.sources.items()}
        reached = set()
        for renderer in plot.layout.select({"type": GlyphRenderer}):
            source = renderer.data_source
            assert isinstance(source, ColumnDataSource)
            name = named.get(id(source))
            have = source.column_names if name is None else columns[name]
            assert fields(renderer) <= set(have), (plot.label, renderer.glyph)
            assert fields(renderer), renderer.glyph
            reached.add(name)
        assert reached >= plot.sources.keys()
        for hover in plot.layout.select({"type": HoverTool}):
            asked = set(re.findall(r"@(\w+)", str(hover.tooltips)))
            for renderer in hover.renderers:
                assert asked <= set(columns[named[id(renderer.data_source)]]), plot.label


def test_sources_are_found_by_name_in_the_browser(study: Study) -> None:
    for plot, _ in figures(study):
        assert {name: source.name for name, source in plot.sources.items()} == {
            name: name for name in plot.sources
        }


@pytest.mark.parametrize("name", ["toy_study", "digits_study"])
def test_a_filled_figure_is_a_page_of_its_own(name: str, request: pytest.FixtureRequest) -> None:
    for plot, columns in figures(request.getfixturevalue(name)):
        page = file_html(plot.fill(columns).layout, INLINE, title=plot.label)
        title = page.split("<title>")[1].split("</title>")[0]
        assert html.unescape(title) == plot.label
        assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page)
        for part, data in columns.items():
            assert plot.sources[part].data.keys() == data.keys()
            for column, value in data.items():
                if isinstance(value, plots.Coded):
                    assert plot.sources[part].data[column] == value.expand()


def test_node_names_are_in_the_page(digits_study: Study) -> None:
    plot, columns = list(figures(digits_study))[1]
    page = file_html(plot.fill(columns).layout, INLINE)
    assert all(name in page for name in digits_study.problem.node_names)
