"""Networks of timm, each with images as small as its family takes."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmarks.breadth.networks import Network, images

CONVOLUTIONAL = (
    "efficientnet_lite0", "tf_efficientnetv2_b0", "mixnet_s", "mobilenetv4_conv_small", "lcnet_050",
    "convnext_atto", "convnextv2_atto", "repvgg_a0", "mobileone_s0", "ghostnet_050", "ghostnetv2_100",
    "hrnet_w18_small", "res2net50_14w_8s", "eca_nfnet_l0", "nf_regnet_b0", "resnetrs50", "resnetv2_50x1_bit",
    "regnetz_005", "regnety_002", "ese_vovnet19b_dw", "dla34", "xception41", "dpn68", "cspresnet50",
    "skresnet18", "resnest14d", "rexnet_100", "hgnetv2_b0", "inception_next_atto", "starnet_s1",
    "poolformer_s12", "mambaout_femto",
)  # fmt: skip
BY_ONE_SIDE = (  # made for one size of images
    "swin_tiny_patch4_window7_224", "swinv2_cr_tiny_ns_224", "levit_128s", "mixer_s16_224", "resmlp_12_224",
    "gmlp_ti16_224", "deit_tiny_distilled_patch16_224", "xcit_nano_12_p16_224", "coat_lite_tiny",
    "coatnet_nano_rw_224", "maxvit_pico_rw_256", "vit_tiny_patch16_224", "twins_svt_small", "convit_tiny",
    "pit_ti_224", "volo_d1_224", "sequencer2d_s",
)  # fmt: skip
OF_ANY_SIDE = (
    "mobilevit_xxs", "mobilevitv2_050", "tiny_vit_5m_224", "fastvit_t8", "caformer_s18", "pvt_v2_b0",
    "davit_tiny", "edgenext_xx_small", "efficientvit_b0", "focalnet_tiny_srf",
)  # fmt: skip
WITHOUT_ATTENTION = ("mixer_s16_224", "resmlp_12_224", "gmlp_ti16_224", "sequencer2d_s", "focalnet_tiny_srf")
SMALL = {"depth": 3, "embed_dim": 96, "num_heads": 4}


def _timm(name: str, side: int, attends: bool = False, **options: Any) -> Network:
    def make() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, **options)

    return Network(f"timm {name}", make, images(side), attends and name not in WITHOUT_ATTENTION)


NETWORKS = [
    *(_timm(name, 64) for name in CONVOLUTIONAL),
    *(_timm(name, 64, True) for name in OF_ANY_SIDE),
    *(_timm(name, 64, True, img_size=64) for name in BY_ONE_SIDE),
    _timm("beit_base_patch16_224", 64, True, img_size=64, **SMALL),
    _timm("eva02_tiny_patch14_224", 56, True, img_size=56, depth=3),
    _timm("vit_small_patch14_reg4_dinov2", 56, True, img_size=56, depth=3),
    _timm("vit_relpos_small_patch16_224", 64, True, img_size=64, depth=3),
    _timm("efficientformer_l1", 224, True),
]
