"""Train the embedded language model again, from the text that is shipped or another one."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nemo_lab.errors import DataError
from nemo_lab.workload.zoo.registry import DATA_FOLDER, TextEntry

BATCH = 32


def read_text(entry: TextEntry, path: Path | None) -> NDArray[np.uint8]:
    """Token numbers of a plain text file, or of the shipped text.

    Paragraphs become lines, letters small ones, and what is not in the alphabet is left out.

    Raises:
        DataError: if there is no such file, or too little in it.
    """
    if path is None:
        with np.load(DATA_FOLDER / f"{entry.name}.npz", allow_pickle=False) as arrays:
            return np.asarray(arrays["tokens"])
    if not path.is_file():
        raise DataError(f"no file {path}", "point --data at a plain text file, or leave it out")
    number = {character: place for place, character in enumerate(entry.alphabet)}
    kept = "".join(one for one in path.read_text("utf-8", "ignore").lower() if one in number)
    text = "\n".join(" ".join(part.split()) for part in kept.split("\n\n") if part.strip())
    least = 2 * sum(entry.sizes.values()) * entry.window
    if len(text) < least:
        raise DataError(f"{path} has {len(text):,} characters", f"give a text of at least {least:,}")
    return np.array([number[character] for character in text], dtype=np.uint8)


def perplexity(net: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Of every character of some windows, int64[N, T]."""
    net.eval()
    with torch.inference_mode():
        losses = [
            nn.functional.cross_entropy(net(some).flatten(0, 1), following.flatten(), reduction="sum")
            for some, following in zip(inputs.split(64), labels.split(64), strict=True)
        ]
    return math.exp(float(torch.stack(losses).sum()) / labels.numel())


def train(entry: TextEntry, tokens: NDArray[np.uint8], *, epochs: int, seed: int) -> nn.Module:
    """AdamW with a one-cycle schedule, one thread, on windows that begin anywhere."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    learned, rest = entry.parts(tokens)
    text, held = torch.from_numpy(learned.astype(np.int64)), entry.windows(rest)
    inputs, labels = torch.from_numpy(held.inputs), torch.from_numpy(held.labels)
    net = entry.build()
    each = len(text) // (BATCH * entry.window)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.005, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.005, total_steps=epochs * each)
    for epoch in range(epochs):
        net.train()
        for _ in range(each):
            starts = torch.randint(len(text) - entry.window, (BATCH, 1), generator=generator)
            windows = text[starts + torch.arange(entry.window + 1)]
            logits = net(windows[:, :-1])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        found = perplexity(net, inputs, labels)
        sys.stdout.write(f"epoch {epoch + 1}/{epochs}: test perplexity {found:.3f}\n")
        sys.stdout.flush()
    return net.eval()


def ship(entry: TextEntry, tokens: NDArray[np.uint8], net: nn.Module, out: Path) -> None:
    """Write the state dict and the text."""
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / f"{entry.name}.npz", tokens=tokens)
    torch.save(net.state_dict(), out / f"{entry.name}.pt")
