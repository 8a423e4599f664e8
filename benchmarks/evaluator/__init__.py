"""Cost and behaviour of a candidate: fake-quantized inference beside the plain forward."""

import os

# before NumPy and torch load: every figure here is of one thread
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
