"""All that a process of the soak needs, imported once for all of them."""

import numba  # noqa: F401
import pymoo  # noqa: F401
import torch
import torch_geometric  # noqa: F401

import nemo_lab.quantize.problem
import nemo_lab.search.species.graph_nets
import nemo_lab.search.surrogate.kernels
import nemo_lab.workload.zoo  # noqa: F401
from benchmarks.journal.soak import checks, child, company  # noqa: F401

torch.set_num_threads(1)
