"""nemo_lab: watch and steer the search for the bit-width of every layer, live in JupyterLab.

Implements NEMO (Miret et al., "Neuroevolution-Enhanced Multi-Objective Optimization for
Mixed-Precision Quantization", arXiv 2106.07611). Public names load on first use, so that
``import nemo_lab`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nemo_lab._version import __version__ as __version__

_HOME = {
    "NemoError": "nemo_lab.errors",
    "NemoWarning": "nemo_lab.errors",
    "check_interrupted": "nemo_lab.interruption",
    "Workload": "nemo_lab.workload",
    "load_workload": "nemo_lab.workload",
    "CostModel": "nemo_lab.cost",
    "QuantizationConfig": "nemo_lab.quantize",
    "QuantizationProblem": "nemo_lab.quantize",
    "check": "nemo_lab.checks",
    "TunedNetwork": "nemo_lab.tuning",
    "correct_bias": "nemo_lab.tuning",
    "finetune": "nemo_lab.tuning",
    "Study": "nemo_lab.study",
    "create_study": "nemo_lab.study",
    "load_study": "nemo_lab.study",
    "compare": "nemo_lab.study",
    "Dashboard": "nemo_lab.widgets",
}

__all__ = [  # noqa: RUF022  in the order people meet them
    "load_workload",
    "Workload",
    "CostModel",
    "QuantizationConfig",
    "QuantizationProblem",
    "check",
    "create_study",
    "load_study",
    "Study",
    "compare",
    "finetune",
    "correct_bias",
    "TunedNetwork",
    "Dashboard",
    "check_interrupted",
    "NemoError",
    "NemoWarning",
]

if TYPE_CHECKING:
    from nemo_lab.checks import check
    from nemo_lab.cost import CostModel
    from nemo_lab.errors import NemoError, NemoWarning
    from nemo_lab.interruption import check_interrupted
    from nemo_lab.quantize import QuantizationConfig, QuantizationProblem
    from nemo_lab.study import Study, create_study, load_study
    from nemo_lab.study.compare import compare
    from nemo_lab.tuning import TunedNetwork, correct_bias, finetune
    from nemo_lab.widgets import Dashboard
    from nemo_lab.workload import Workload, load_workload


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nemo_lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext nemo_lab`` makes the ``%nemo`` magic known."""
    from nemo_lab.widgets.magic import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext nemo_lab`` forgets the magic."""
    from nemo_lab.widgets.magic import unload

    unload(ipython)
