"""Runs a model once, with optimisations off and on; a process of its own, which needs nothing of nemo_lab.

Arguments: the model, a batch as .npz, and the folders that Python looks for modules in, as JSON.
"""

import json
import sys

if __name__ == "__main__":
    model, given, folders = sys.argv[1:]
    sys.path[:] = json.loads(folders)
    try:
        import numpy as np
        import onnxruntime
    except Exception:
        sys.exit(97)  # nothing was tried
    level = onnxruntime.GraphOptimizationLevel
    for optimized in (level.ORT_DISABLE_ALL, level.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.graph_optimization_level = 1, optimized
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        batch = np.load(given)
        session.run(None, {one.name: batch[str(at)] for at, one in enumerate(session.get_inputs())})
