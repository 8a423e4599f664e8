"""Networks of transformers, from small configurations; text, images and sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.breadth.networks import Made, Network, named, text

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GROUPED = {"num_key_value_heads": 2}
IMAGE = {"image_size": 32, "patch_size": 8, "num_labels": 10}
PIXELS = named("pixel_values", 3, 32, 32)
SOUND: dict[str, Any] = {
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 2, 2),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
T5 = {"vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
BART = {
    "vocab_size": 60, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "max_position_embeddings": 32, "decoder_start_token_id": 2, "forced_eos_token_id": 2,
}  # fmt: skip
WHISPER = {
    "vocab_size": 60, "d_model": 32, "num_mel_bins": 8, "max_source_positions": 12, "encoder_layers": 2,
    "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
    "decoder_start_token_id": 0,
}  # fmt: skip
TOWER = {**SIZES, "image_size": 32, "patch_size": 8, "projection_dim": 16}


def _hf(
    model: str, config: dict[str, Any], inputs: Made, part: Callable[[Any], nn.Module] | None = None
) -> Network:
    """A model of transformers by the name of its class, or a part of it."""

    def make() -> nn.Module:
        import transformers

        cls: Any = getattr(transformers, model)
        built: nn.Module = cls(cls.config_class(**config))
        return built if part is None else part(built)

    return Network(f"transformers {model}{'' if part is None else ', encoder'}", make, inputs, True)


NETWORKS = [
    # encoders of text
    _hf("BertForSequenceClassification", {**SIZES, "num_labels": 5}, text()),
    _hf("RobertaForMaskedLM", {**SIZES, **SPECIAL}, text()),
    _hf(
        "DistilBertForSequenceClassification",
        {"vocab_size": 60, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "num_labels": 5},
        text(),
    ),
    _hf("AlbertForMaskedLM", {**SIZES, "embedding_size": 16}, text()),
    _hf("ElectraForSequenceClassification", {**SIZES, "embedding_size": 16, "num_labels": 5}, text()),
    _hf(
        "DebertaV2ForSequenceClassification",
        {
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "share_att_key": True,
            "num_labels": 5,
        },
        text(),
    ),
    _hf("MPNetForSequenceClassification", {**SIZES, **SPECIAL, "num_labels": 5}, text()),
    _hf(
        "MobileBertForSequenceClassification",
        {**SIZES, "embedding_size": 16, "intra_bottleneck_size": 16, "num_labels": 5},
        text(),
    ),
    _hf(
        "ConvBertForSequenceClassification",
        {**SIZES, **SPECIAL, "embedding_size": 16, "num_labels": 5},
        text(),
    ),
    _hf("SqueezeBertForSequenceClassification", {**SIZES, "embedding_size": 32, "num_labels": 5}, text()),
    _hf("ModernBertForMaskedLM", {**SIZES, **SPECIAL, "cls_token_id": 1, "sep_token_id": 2}, text()),
    _hf(
        "FNetForSequenceClassification",
        {**SIZES, **SPECIAL, "num_labels": 5},
        lambda count, generator: {"input_ids": text()(count, generator)["input_ids"]},
    ),
    _hf("T5EncoderModel", T5, text()),
    # decoders
    _hf("GPT2LMHeadModel", {"vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, **SPECIAL}, text()),
    _hf("GPTNeoXForCausalLM", SIZES, text()),
    _hf("LlamaForCausalLM", {**SIZES, **GROUPED, **SPECIAL}, text()),
    _hf("Qwen2ForCausalLM", {**SIZES, **GROUPED, **SPECIAL}, text()),
    _hf("Qwen3ForCausalLM", {**SIZES, **GROUPED, **SPECIAL, "head_dim": 8}, text()),
    _hf("MistralForCausalLM", {**SIZES, **GROUPED, **SPECIAL, "sliding_window": 4}, text()),
    _hf("MixtralForCausalLM", {**SIZES, **GROUPED, **SPECIAL, "num_local_experts": 4}, text()),
    _hf("PhiForCausalLM", {**SIZES, **SPECIAL}, text()),
    _hf("GemmaForCausalLM", {**SIZES, **GROUPED, **SPECIAL, "head_dim": 8}, text()),
    _hf("OPTForCausalLM", {**SIZES, **SPECIAL, "ffn_dim": 48, "word_embed_proj_dim": 16}, text()),
    _hf("BloomForCausalLM", {"vocab_size": 60, "hidden_size": 32, "n_layer": 2, "n_head": 4}, text()),
    _hf(
        "FalconForCausalLM",
        {**SIZES, **SPECIAL, "new_decoder_architecture": True, "num_kv_heads": 2, "alibi": False},
        text(),
    ),
    _hf("MambaForCausalLM", {**SIZES, **SPECIAL, "state_size": 4}, text()),
    # encoder and decoder
    _hf(
        "T5ForConditionalGeneration",
        {**T5, "decoder_start_token_id": 0},
        text(decoder_input_ids=lambda ids: ids.flip(1)),
    ),
    _hf("BartForConditionalGeneration", {**BART, **SPECIAL}, text()),
    # images
    _hf("ViTForImageClassification", {**SIZES, **IMAGE}, PIXELS),
    _hf("DeiTForImageClassification", {**SIZES, **IMAGE}, PIXELS),
    _hf("BeitForImageClassification", {**SIZES, **IMAGE, "use_relative_position_bias": True}, PIXELS),
    _hf("Dinov2ForImageClassification", {**SIZES, **IMAGE}, PIXELS),
    _hf(
        "SwinForImageClassification",
        {**IMAGE, "patch_size": 2, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4},
        PIXELS,
    ),
    _hf(
        "SegformerForSemanticSegmentation",
        {
            "depths": (1, 1, 1, 1),
            "hidden_sizes": (16, 16, 32, 32),
            "num_attention_heads": (1, 2, 2, 4),
            "decoder_hidden_size": 32,
            "num_labels": 5,
        },
        named("pixel_values", 3, 64, 64),
    ),
    _hf("CLIPVisionModelWithProjection", TOWER, PIXELS),
    _hf("CLIPTextModelWithProjection", {**TOWER, **SPECIAL}, text()),
    _hf("SiglipVisionModel", TOWER, PIXELS),
    # sound
    _hf("WhisperModel", {**WHISPER, **SPECIAL}, named("input_features", 8, 24), lambda model: model.encoder),
    _hf("Wav2Vec2ForCTC", {**SIZES, **SPECIAL, **SOUND}, named("input_values", 800)),
    _hf("HubertForCTC", {**SIZES, **SPECIAL, **SOUND}, named("input_values", 800)),
    _hf(
        "ASTForAudioClassification",
        {
            **SIZES,
            "max_length": 32,
            "num_mel_bins": 16,
            "patch_size": 8,
            "num_labels": 5,
            "frequency_stride": 8,
            "time_stride": 8,
        },
        named("input_values", 32, 16),
    ),
    # time
    _hf(
        "PatchTSTForClassification",
        {
            "num_input_channels": 2,
            "context_length": 32,
            "patch_length": 8,
            "patch_stride": 8,
            "d_model": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 48,
            "num_targets": 3,
        },
        named("past_values", 32, 2),
    ),
]
