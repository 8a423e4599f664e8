"""Numbers to figures: frozen records first, then Bokeh, live or static."""

from nemo_lab.plots.bits import bits_columns, bits_plot
from nemo_lab.plots.figure import Coded, Columns, Plot
from nemo_lab.plots.front import DRAG, front_plot
from nemo_lab.plots.front_columns import front_columns, front_ranges
from nemo_lab.plots.graph import graph_plot
from nemo_lab.plots.graph_columns import graph_columns
from nemo_lab.plots.hypervolume import hypervolume_columns, hypervolume_plot
from nemo_lab.plots.info import front_info, graph_info, species_info
from nemo_lab.plots.paper import generations, heatmap, projections
from nemo_lab.plots.parallel import parallel_columns, parallel_plot
from nemo_lab.plots.species import species_columns, species_plot

__all__ = [
    "DRAG",
    "Coded",
    "Columns",
    "Plot",
    "bits_columns",
    "bits_plot",
    "front_columns",
    "front_info",
    "front_plot",
    "front_ranges",
    "generations",
    "graph_columns",
    "graph_info",
    "graph_plot",
    "heatmap",
    "hypervolume_columns",
    "hypervolume_plot",
    "parallel_columns",
    "parallel_plot",
    "projections",
    "species_columns",
    "species_info",
    "species_plot",
]
