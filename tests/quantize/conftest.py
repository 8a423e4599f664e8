"""Small networks are slower on more than one thread, and far slower on a machine that is busy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nemo_lab._torch import torch_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield
