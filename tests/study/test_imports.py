"""What gets imported when: quick to import, and no Jupyter below the widgets."""

from __future__ import annotations

import json
import subprocess
import sys

TOY = """
import sys, numpy as np
import nemo_lab.study
class Toy:
    num_nodes, node_names, bit_widths, objective_names = 2, ("a", "b"), (2, 8), ("x", "y")
    node_features, edges = np.zeros((2, 1), np.float32), np.array([[0], [1]])
    def evaluate(self, bits):
        b = np.asarray(bits, float)
        return np.column_stack([b[:, 0] / 8, 1 - b[:, 1] / 8])
study = nemo_lab.study.create_study(Toy(), species=("continuous", "floor"), population=4, min_size=1)
study.optimize(8, progress=False)
assert len(study.front()) > 0
"""


def imported_by(code: str) -> set[str]:
    """Top-level modules in sys.modules after running ``code`` in a fresh process."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_study_of_a_problem_of_ones_own_needs_no_jupyter_and_no_torch() -> None:
    modules = imported_by(TOY)
    assert "pymoo" in modules
    assert not modules & {"ipywidgets", "anywidget", "bokeh", "IPython", "torch", "torch_geometric"}


def test_a_quantization_study_needs_no_jupyter() -> None:
    modules = imported_by(
        "import nemo_lab as nl\n"
        "nl.create_study('digits', population=4, min_size=1).optimize(5, progress=False)"
    )
    assert "torch_geometric" in modules
    assert not modules & {"ipywidgets", "anywidget", "bokeh"}


HALF = """
import sys

class Half:
    left = 1

    def find_spec(self, name, path=None, target=None):
        if name == "torch._dynamo" and self.left:
            Half.left = 0
            raise AttributeError("partially initialized module")

sys.meta_path.insert(0, Half())
import nemo_lab as nl
study = nl.create_study("digits", species=("gcn", "unet"), population=4, min_size=1)
study.optimize(5, progress=False)
assert not Half.left and len(study.evaluations()) == 5
"""


def test_a_library_of_which_python_gave_half_is_imported_again() -> None:
    """Two threads that import parts of torch at once: one of them is given a module that is not whole."""
    assert "torch_geometric" in imported_by(HALF)
