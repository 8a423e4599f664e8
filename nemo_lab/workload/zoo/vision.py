"""Networks of torchvision for 224x224 colour images: the paper's three, and a few others.

torchvision is optional and imported on first use. Trained weights come from torch.hub's folder of
checkpoints or are fetched into it; the images they were trained on (ImageNet) are not shipped.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nemo_lab.errors import NemoError
from nemo_lab.workload.zoo.checkpoints import brief, damaged, trained_state

if TYPE_CHECKING:
    from torch import nn


class TorchvisionError(NemoError, ImportError):
    """torchvision is missing, or was built for another torch."""


@dataclass(frozen=True)
class VisionEntry:
    """A network of torchvision.

    Attributes:
        name: the name given to ``load_workload``, torchvision's own.
        weights: which trained weights. ``IMAGENET1K_V1`` are those of the usual baselines, the only
            ones there were when the paper was written.
        input_shape: channels, height and width of one image.
        seed: of the random weights.
    """

    name: str
    weights: str = "IMAGENET1K_V1"
    input_shape: tuple[int, int, int] = (3, 224, 224)
    seed: int = 0

    def untrained(self) -> nn.Module:
        """The network in evaluation mode, its random weights the same on every call.

        Torch's global random state is left alone.

        Raises:
            TorchvisionError: if torchvision cannot be imported.
        """
        import torch

        from nemo_lab.workload.own_numbers import OwnNumbers

        models = torchvision_models()
        with torch.device("cpu"), OwnNumbers(self.seed):
            net: nn.Module = models.get_model(self.name, weights=None)
        return net.eval()

    def pretrained(self) -> nn.Module:
        """The network in evaluation mode with its trained weights, fetched if they are not here yet.

        Raises:
            TorchvisionError: if torchvision cannot be imported.
            WeightsError: if the weights are not in the folder of checkpoints and no server answers
                within five seconds, or if they arrive damaged or the file of them is.
        """
        import torch

        models = torchvision_models()
        weights = models.get_model_weights(self.name)[self.weights]
        state = trained_state(weights)
        with torch.device("meta"):  # no time or memory for values that are replaced at once
            net: nn.Module = models.get_model(self.name, weights=None)
        try:
            net.load_state_dict(state, assign=True)
        except Exception as error:  # a wrong key, a wrong shape, or no dictionary at all
            raise damaged(weights.url, error) from error
        return net.float().eval()  # assigned tensors keep the file's dtype


VISION = {
    entry.name: entry
    for entry in (
        VisionEntry("mobilenet_v2"),
        VisionEntry("resnet50"),
        VisionEntry("resnext101_32x8d"),
        VisionEntry("resnet18"),
        VisionEntry("vit_b_16"),
        VisionEntry("efficientnet_b0"),
    )
}


def torchvision_models() -> Any:
    """The module ``torchvision.models``.

    Raises:
        TorchvisionError: if it cannot be imported, or not beside this torch, which torchvision reports
            by a RuntimeError or an AttributeError.
    """
    try:
        return importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise TorchvisionError(
            f"this workload needs torchvision, which cannot be imported ({brief(error)})",
            'install torch and torchvision that match by pip install "nemo_lab[vision]" and restart Python',
        ) from error
