"""What every list of genomes and every decoded genome has to be."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ContractError
from nemo_lab.problem import Problem
from nemo_lab.search.species import Genome, Species
from nemo_lab.testing.same import same


def check_count(what: str, genomes: Any, count: int) -> None:
    """A list, of as many as were asked for.

    Raises:
        ContractError: if it is not.
    """
    if not isinstance(genomes, list) or len(genomes) != count:
        got = f"{len(genomes)} genomes" if isinstance(genomes, list) else f"a {type(genomes).__name__}"
        raise ContractError(f"{what} returned {got}, asked for {count}", "return a list of just as many")


def decoded(species: Species, genome: Genome, problem: Problem) -> NDArray[np.uint8]:
    """The bit-widths of a genome, uint8[Q].

    Raises:
        ContractError: if they are none, change from call to call, or reading them changes the genome.
    """
    before = copy.deepcopy(genome)
    bits = species.decode(genome)
    if not isinstance(bits, np.ndarray) or bits.dtype != np.uint8 or bits.shape != (problem.num_nodes,):
        shape = f"{bits.dtype}{list(bits.shape)}" if isinstance(bits, np.ndarray) else type(bits).__name__
        raise ContractError(f"decode returned {shape}", f"return uint8[{problem.num_nodes}], one per node")
    wrong = sorted(set(bits.tolist()) - set(problem.bit_widths))
    if wrong:
        raise ContractError(
            f"decode returned the width {wrong[0]}", f"choose from {tuple(problem.bit_widths)}"
        )
    kept = bits.copy()
    if not np.array_equal(species.decode(genome), kept):
        raise ContractError("decode reads other widths from the same genome", "draw no random numbers in it")
    if not same(genome, before):
        raise ContractError("decode changed its genome", "work on a copy")
    return kept
