"""NEMO's search: species, variation, utility, allocation, ranking, and the ask/tell engine."""

from nemo_lab.adapted import adapt_problem
from nemo_lab.problem import Problem
from nemo_lab.search.archive import ORIGINS, Evaluations, front_ids
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.decisions import Ledger
from nemo_lab.search.engine import Engine
from nemo_lab.search.members import Candidate, GenerationRecord, SpeciesRecord
from nemo_lab.search.options import SearchOptions

ENGINE_VERSION = 1  # grows by one whenever a run that is stored would go on otherwise

__all__ = [
    "ENGINE_VERSION",
    "ORIGINS",
    "Candidate",
    "Constraints",
    "Engine",
    "Evaluations",
    "GenerationRecord",
    "Ledger",
    "Problem",
    "SearchOptions",
    "SpeciesRecord",
    "adapt_problem",
    "front_ids",
]
