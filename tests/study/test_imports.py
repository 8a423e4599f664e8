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
        "nl.create_study('digits', population=4, min_size=1).optimize(25, progress=False)"
    )
    assert "torch_geometric" in modules
    assert not modules & {"ipywidgets", "anywidget", "bokeh"}


def test_no_graph_network_is_needed_before_the_first_children() -> None:
    modules = imported_by("import nemo_lab as nl\nnl.create_study('digits').optimize(7, progress=False)")
    assert "torch" in modules
    assert "torch_geometric" not in modules


HALF = """
import sys

class Half:
    asked = 0

    def find_spec(self, name, path=None, target=None):
        if name != "torch._dynamo.eval_frame" or Half.asked == 4:
            return  # by now the other thread has imported it
        Half.asked += 1
        raise AttributeError("partially initialized module")

sys.meta_path.insert(0, Half())
import nemo_lab as nl
studies = [nl.create_study("digits", species=(one,), population=4, min_size=1) for one in ("gcn", "unet")]
for study in studies:
    study.start(9)
for study in studies:
    study.wait()
assert Half.asked == 4
assert [len(study.evaluations()) for study in studies] == [9, 9]
"""


def test_a_library_of_which_python_gave_half_is_imported_again() -> None:
    """Of threads that import parts of torch at once, one is given half a module; two ask for the library."""
    assert "torch_geometric" in imported_by(HALF)
