"""Trained weights from torch.hub's folder of checkpoints, fetched into it if a server answers."""

from __future__ import annotations

import os
import threading
from http.client import HTTPException
from typing import Any
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from nemo_lab.errors import NemoError

PROBE_SECONDS = 5.0


class WeightsError(NemoError, RuntimeError):
    """The trained weights of a network can be neither read nor fetched."""


def trained_state(weights: Any) -> dict[str, Any]:
    """The tensors of a torchvision ``WeightsEnum`` member, by name; only tensors are unpickled.

    Raises:
        WeightsError: if they can be neither read nor fetched.
    """
    here = os.path.exists(checkpoint(weights.url))
    if not here and (reason := _unreachable(weights.url, PROBE_SECONDS)):
        raise _missing(weights.url, reason)
    try:
        state: dict[str, Any] = weights.get_state_dict(map_location="cpu", check_hash=True, weights_only=True)
    except Exception as error:  # what a reader raises on a damaged file is not a closed list
        if os.path.exists(checkpoint(weights.url)):
            raise damaged(weights.url, error) from error
        raise _missing(weights.url, brief(error)) from error
    return state


def checkpoint(url: str) -> str:
    """Path of the file in which torch.hub keeps the weights of that address."""
    from torch.hub import get_dir

    return os.path.join(get_dir(), "checkpoints", os.path.basename(urlparse(url).path))


def _unreachable(url: str, seconds: float) -> str:
    """Why no server answers within ``seconds``; empty if one does.

    In a thread, because the timeout of a request does not cover the look-up of the server's name, which
    can take minutes without a network, and counts anew for each of its addresses.
    """
    reasons = [f"no answer in {seconds:g} s"]

    def ask() -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=seconds):  # noqa: S310  torchvision's address
                reasons.append("")
        except (OSError, HTTPException, ValueError) as error:
            reasons.append(brief(error))

    thread = threading.Thread(target=ask, name="nemo_lab-probe", daemon=True)
    thread.start()
    thread.join(seconds)
    return reasons[-1]


def _missing(url: str, reason: str) -> WeightsError:
    file = checkpoint(url)
    return WeightsError(
        f"the weights {os.path.basename(file)} are not on this machine and cannot be fetched ({reason})",
        f"download {url} elsewhere and put it into {os.path.dirname(file)}, or trace a network that you "
        "trained by Workload.from_module(module, example)",
    )


def damaged(url: str, error: Exception) -> WeightsError:
    """What to raise if the file for that address is there but of no use."""
    return WeightsError(
        f"{checkpoint(url)} does not hold the weights that belong there ({brief(error)})",
        "delete the file to have it fetched again, or put a good copy there",
    )


def brief(error: Exception) -> str:
    """Type and first sentence of an error; readers of weights answer with pages."""
    lines = str(error).strip().splitlines()
    text = lines[0].split(". ")[0].strip() if lines else ""
    return f"{type(error).__name__}: {text[:150]}" if text else type(error).__name__
