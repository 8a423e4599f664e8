"""Libraries that only a deployment needs."""

from __future__ import annotations

import importlib
from typing import Any

from nemo_lab._quiet import importing, no_warnings
from nemo_lab.errors import ArgumentError

WAY = 'install it by pip install "nemo_lab[deploy]" and restart Python'


def needed(*names: str, purpose: str, way: str = WAY) -> Any:
    """Modules that only a deployment needs, one or a tuple of them.

    Args:
        names: of the modules.
        purpose: for the message, such as ``"to write ONNX"``.
        way: out, where one is not of the extra ``deploy``.

    Raises:
        ArgumentError: if one is missing or does not load; names the way to install it.
    """
    found = []
    for name in names:
        try:
            with importing(), no_warnings():
                found.append(importlib.import_module(name))
        except Exception as error:  # one that is there and does not load, too
            raise ArgumentError(f"{name} is needed {purpose}, and does not load: {error}", way) from error
    return found[0] if len(found) == 1 else tuple(found)
