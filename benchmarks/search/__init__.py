"""Search quality at equal numbers of evaluations."""

import os

# before NumPy and torch load: on busy cores a second thread costs several times what it brings
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
