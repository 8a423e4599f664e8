"""A configuration made better with its widths fixed: by training, or by correcting its biases."""

from __future__ import annotations

from nemo_lab.tuning.bias_correction import correct_bias
from nemo_lab.tuning.fine_tuning import finetune
from nemo_lab.tuning.tuned import TunedNetwork

__all__ = ["TunedNetwork", "correct_bias", "finetune"]
