"""Contract checks for species and problems of one's own, and problems whose true front is known.

>>> from nemo_lab import QuantizationProblem, create_study, load_workload
>>> from nemo_lab.testing import check_problem, check_species, reference_problems
>>> problem = QuantizationProblem(load_workload("digits"))
>>> check_problem(problem, configurations=3)
>>> check_species("floor", problem)
>>> separable = reference_problems()[0]
>>> study = create_study(separable, species=["floor"]).optimize(60, progress=False)
>>> separable.reached(study.front()[list(separable.objective_names)]) > 0.8
True
"""

from nemo_lab.errors import ContractError
from nemo_lab.testing.problems import check_problem
from nemo_lab.testing.reference import ReferenceProblem, reference_problems
from nemo_lab.testing.species import check_species

__all__ = ["ContractError", "ReferenceProblem", "check_problem", "check_species", "reference_problems"]
