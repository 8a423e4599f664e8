"""The dashboard and its panels: the only place that knows Jupyter."""

from nemo_lab.widgets.dashboard import Dashboard

__all__ = ["Dashboard"]
