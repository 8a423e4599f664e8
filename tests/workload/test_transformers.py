"""Models of the transformers library, from small configurations: a dictionary of a batch in, done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.export import quantized_module
from nemo_lab.quantize.scores import scores

hf: Any = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
GENERATOR = torch.Generator().manual_seed(0)
IDS = torch.randint(5, 60, (12, 8), generator=GENERATOR)
MASK = (torch.arange(8) < torch.tensor([[8], [5], [3]]).repeat(4, 1)).long()
TEXT = {"input_ids": IDS, "attention_mask": MASK}
IMAGES = {"pixel_values": torch.randn(12, 3, 16, 16, generator=GENERATOR)}
SOUND = {"input_features": torch.randn(12, 8, 24, generator=GENERATOR)}


def whisper() -> nn.Module:
    sizes = {"vocab_size": 60, "d_model": 32, "num_mel_bins": 8, "max_source_positions": 12}
    ids = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48}
    config = hf.WhisperConfig(**sizes, **ids, **heads, encoder_layers=1, decoder_layers=1)
    model: nn.Module = hf.WhisperModel(config).encoder
    return model


def classifier(size: int) -> nn.Module:
    config = hf.ViTConfig(**SIZES, image_size=size, patch_size=4, num_labels=5)
    model: nn.Module = hf.ViTForImageClassification(config)
    return model


GPT2 = {"vocab_size": 60, "n_embd": 32, "n_layer": 1, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0}
T5 = {"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4}
DISTIL = {"vocab_size": 60, "dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 48}
MODELS: dict[str, tuple[Callable[[], nn.Module], dict[str, Tensor]]] = {
    "bert": (lambda: hf.BertModel(hf.BertConfig(**SIZES)), TEXT),
    "distilbert": (lambda: hf.DistilBertForSequenceClassification(hf.DistilBertConfig(**DISTIL)), TEXT),
    "gpt2": (lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2)), TEXT),
    "llama": (lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, num_key_value_heads=2)), TEXT),
    "qwen in bfloat16": (
        lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SIZES, num_key_value_heads=2)).bfloat16(),
        TEXT,
    ),
    "t5 encoder": (lambda: hf.T5EncoderModel(hf.T5Config(**T5)), TEXT),
    "vit": (lambda: classifier(16), IMAGES),
    "whisper encoder": (whisper, SOUND),
}


def leading(outputs: Any) -> Tensor:
    """The scores of a model, or its last hidden state, [N, ...]."""
    found = scores(outputs)
    tensor: Tensor = found if isinstance(found, Tensor) else outputs["last_hidden_state"]
    return tensor.float()


def off(outputs: Any, labels: Any, reference: Any) -> Tensor:
    """Squared error relative to the deviation of what the model gives."""
    found, wanted = leading(outputs).flatten(1), leading(reference).flatten(1)
    return (found - wanted).square().mean(1) / wanted.var()


@pytest.mark.filterwarnings("ignore::nemo_lab.errors.NemoWarning")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_and_an_example_are_enough(name: str) -> None:
    make, data = MODELS[name]
    torch.manual_seed(0)
    model = make().eval()
    cached = getattr(model.config, "use_cache", None)  # type: ignore[union-attr]
    workload = Workload.from_module(model, {key: tensor[:3] for key, tensor in data.items()})
    assert getattr(model.config, "use_cache", None) == cached  # type: ignore[union-attr]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        expected = model(**data)
    assert workload.macs == pytest.approx(counter.get_total_flops() / 2 / 12, rel=0.01)
    problem = QuantizationProblem(workload, data, data, off)
    exported = quantized_module(problem, [8] * problem.num_nodes)
    error = problem.evaluate([8] * problem.num_nodes)[0, 0]
    assert 0 < error < 0.2
    torch.testing.assert_close(
        float(off(exported(**data), None, expected).mean()), error, rtol=0.1, atol=1e-3
    )
