"""The small network of the embedded language model: a decoder-only transformer over characters.

The block is that of Radford et al., "Language models are unsupervised multitask learners" (GPT-2, 2019):
layer norm before attention and before the MLP, learned positions, and an output layer that shares its
weights with the embedding of the tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalSelfAttention(nn.Module):
    """Attention of every place to itself and those before it, in ``heads`` parts of ``width``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """float[N, T, width] -> float[N, T, width]."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        query, key, value = self._split(query), self._split(key), self._split(value)
        context = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.project(context.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """float[N, T, width] -> float[N, heads, T, width of a head]."""
        parts: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return parts


class Block(nn.Module):
    """Attention, then an MLP with GELU; each reads a layer norm and adds to what it read."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        """float[N, T, width] -> float[N, T, width]."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class CharacterTransformer(nn.Module):
    """A causal language model: token numbers int64[N, T] -> logits float32[N, T, V] of each next one.

    Args:
        characters: V, of the alphabet.
        window: T, how many it sees at once.
        width: channels of a place.
        heads: of every attention.
        hidden: channels inside every MLP.
        blocks: how many.
    """

    def __init__(
        self, *, characters: int, window: int, width: int, heads: int, hidden: int, blocks: int
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(characters, width)
        self.position = nn.Parameter(torch.zeros(window, width))
        self.blocks = nn.Sequential(*(Block(width, heads, hidden) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)
        nn.init.normal_(self.token.weight, std=0.02)
        nn.init.normal_(self.position, std=0.02)
        tie(self)
        self.register_load_state_dict_post_hook(tie)  # type: ignore[no-untyped-call]  # assigned weights come apart

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers to logits."""
        x = self.blocks(self.token(tokens) + self.position)
        logits: Tensor = self.head(self.norm(x))
        return logits


def tie(net: Any, _: Any = None) -> None:
    """One parameter for the embedding of the tokens and the output layer."""
    net.head.weight = net.token.weight
