"""Small tensors are slower on more threads than one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nemo_lab._torch import torch_threads


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield
