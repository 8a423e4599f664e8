"""Before a search: whether a network or a problem can be searched, what it will take, and what is amiss."""

from nemo_lab.checks.check import check
from nemo_lab.checks.report import CheckReport, LeftOut

__all__ = ["CheckReport", "LeftOut", "check"]
