"""What is known before anything is evaluated: signal to noise, damage by gradients, bytes that are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.cost import CostModel
from nemo_lab.errors import BitWidthError
from nemo_lab.problem import Problem
from nemo_lab.quantize.arguments import payload_of
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.sanity import warn_if_guessed
from nemo_lab.quantize.sending import Sent
from nemo_lab.quantize.sensitivity import Progress, completed, damages
from nemo_lab.workload.workload import Workload

if TYPE_CHECKING:
    import pandas as pd


class NodeTables(Sent, Problem):
    """The part of a ``QuantizationProblem`` that tells of its nodes, and what they store."""

    workload: Workload
    config: QuantizationConfig
    _task: Task
    _sizes: tuple[CostModel, CostModel] | None = None
    _damages: NDArray[np.float64] | None = None
    _progress: Progress | None = None

    def sqnr(self) -> pd.DataFrame:
        """Signal to quantization noise of every node at every width, in dB, each node alone.

        Weights exactly, activations on samples of the calibration set. The cheapest sign of what a node
        can bear: 6 dB are one bit. A tied node has the worst of its quantizers.
        """
        with self._running() as network:
            return self._by_node(network.sqnr(self.bit_widths))

    def sensitivity(self) -> pd.DataFrame:
        """Predicted damage of every node at every width, each node alone, before anything is evaluated.

        In nats per example: the divergence from full precision that its rounding error causes, to second
        order, from one backward pass over a few of the examples of the search; see
        ``nemo_lab.quantize.sensitivity``. It takes about as long as four evaluations, the first time; where
        that is interrupted, the next time it goes on.

        Warns:
            NemoWarning: of nodes that no gradient reaches, or of all if something in the network has none;
                theirs is guessed from ``sqnr``.
        """
        if self._damages is None:
            with self._running() as network:
                found, reason = self._by_gradients(network)
                ratios = np.array(network.sqnr(self.bit_widths)) if np.isnan(found).any() else found
            self._damages, guessed = completed(found, ratios)
            warn_if_guessed([self.node_names[node] for node in guessed], reason)
        return self._by_node(self._damages)

    def stored_bytes(self, bits: Any) -> tuple[int, int]:
        """Bytes of one configuration, integers[Q]: of its weights alone, and its payload (see ``CostModel``).

        Raises:
            BitWidthError: as ``CostModel.evaluate``, and for several configurations.
        """
        if self._sizes is None:
            payload = CostModel(self.workload, storage="payload", **payload_of(self.config))
            self._sizes = CostModel(self.workload), payload
        found = [model.absolute(bits)[:, 0] for model in self._sizes]
        if len(found[0]) != 1:
            raise BitWidthError(f"these are {len(found[0])} configurations", "give one, integers[Q]")
        weights, payload_bits = (round(8e6 * float(one[0])) for one in found)
        return -(-weights // 8), -(-payload_bits // 8)

    def _by_gradients(self, network: QuantizedNetwork) -> tuple[NDArray[np.float64], str]:
        """Damages, NaN where there is no gradient; and why there is none at all, if so."""
        try:
            self._progress = self._progress or Progress()
            return damages(network, self._task, self.bit_widths, self._progress), ""
        except Exception as error:  # of whatever stands in the network: it can be searched without
            network.set_bits(None)
            nothing = np.full((len(self.node_names), len(self.bit_widths)), np.nan)
            return nothing, f" ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"

    def _by_node(self, table: Any) -> pd.DataFrame:
        import pandas as pd

        widths = pd.Index(self.bit_widths, name="bits")
        return pd.DataFrame(table, index=pd.Index(self.node_names, name="node"), columns=widths)
