"""Networks of torchvision and of segmentation_models_pytorch."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmarks.breadth.networks import Made, Network, images, lists, pairs, video


def _torchvision(name: str, inputs: Made, attends: bool = False, **options: Any) -> Network:
    def make() -> nn.Module:
        from torchvision import models

        return models.get_model(name, weights=None, **options)

    return Network(f"torchvision {name}", make, inputs, attends)


def _vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, num_layers=3, num_heads=4, hidden_dim=64, mlp_dim=128, num_classes=100)


def _maxvit() -> nn.Module:
    from torchvision.models import MaxVit

    return MaxVit(
        (64, 64), 16, 2, block_channels=[16, 32, 64], block_layers=[1, 2, 1], head_dim=8,
        stochastic_depth_prob=0.1, num_classes=100,
    )  # fmt: skip


def _fpn() -> nn.Module:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    return resnet_fpn_backbone(backbone_name="resnet18", weights=None)


def _ssdlite() -> nn.Module:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    backbone: nn.Module = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).backbone
    return backbone


def _smp(name: str, encoder: str, attends: bool = False) -> Network:
    def make() -> nn.Module:
        import segmentation_models_pytorch as smp

        built: nn.Module = getattr(smp, name)(encoder_name=encoder, encoder_weights=None, classes=5)
        return built

    return Network(f"segmentation_models_pytorch {name} on {encoder}", make, images(64), attends)


CLASSIFIERS = (
    "alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "mobilenet_v2",
    "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5", "squeezenet1_1", "efficientnet_b0",
    "efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny",
)  # fmt: skip
SEGMENTED = {"weights_backbone": None, "num_classes": 5}
NETWORKS = [
    *(_torchvision(name, images(64)) for name in CLASSIFIERS),
    _torchvision("googlenet", images(64), init_weights=False),
    _torchvision("inception_v3", images(96), init_weights=False),
    _torchvision("swin_t", images(64), True),
    _torchvision("swin_v2_t", images(64), True),
    Network("torchvision VisionTransformer", _vit, images(32), True),
    Network("torchvision MaxVit", _maxvit, images(64), True),
    _torchvision("fcn_resnet50", images(64), **SEGMENTED),
    _torchvision("deeplabv3_mobilenet_v3_large", images(64), **SEGMENTED),
    _torchvision("lraspp_mobilenet_v3_large", images(64), **SEGMENTED),
    Network("torchvision resnet18 with a feature pyramid", _fpn, images(64)),
    Network("torchvision backbone of ssdlite320_mobilenet_v3_large", _ssdlite, images(128)),
    _torchvision("fasterrcnn_mobilenet_v3_large_320_fpn", lists(64), weights_backbone=None),
    _torchvision("raft_small", pairs(128)),
    _torchvision("r3d_18", video(4, 32)),
    _torchvision("mc3_18", video(4, 32)),
    _torchvision("r2plus1d_18", video(4, 32)),
    _torchvision("s3d", video(16, 224)),
    _torchvision("swin3d_t", video(4, 32), True),
    _torchvision("mvit_v2_s", video(16, 224), True),
    _smp("Unet", "resnet18"),
    _smp("UnetPlusPlus", "mobilenet_v2"),
    _smp("MAnet", "resnet18"),
    _smp("DeepLabV3Plus", "efficientnet-b0"),
    _smp("Segformer", "mit_b0", True),
]
