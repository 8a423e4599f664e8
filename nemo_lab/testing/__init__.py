"""Contract checks for species and problems of one's own.

>>> from nemo_lab import QuantizationProblem, load_workload
>>> from nemo_lab.testing import check_problem, check_species
>>> problem = QuantizationProblem(load_workload("digits"))
>>> check_problem(problem, configurations=3)
>>> check_species("floor", problem)
"""

from nemo_lab.errors import ContractError
from nemo_lab.testing.problems import check_problem
from nemo_lab.testing.species import check_species

__all__ = ["ContractError", "check_problem", "check_species"]
