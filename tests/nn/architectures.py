"""Other people's architectures: which, on what, and what they cost by shapes alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nn.scalar_loops import Counter, lengths_product
from striate.blueprint import Volume
from striate.nn.tracing.named import library, named

# One of each kind of timm's: residual, gated, split, plain, mixing, attending in every way, recurrent, searched.
TIMM = """
    bat_resnext26ts beit_base_patch16_224 botnet26t_256 cait_xxs24_224 coat_lite_tiny coatnet_nano_rw_224
    convmixer_768_32 convnext_atto convnext_tiny convnextv2_nano crossvit_tiny_240 cspdarknet53 cspresnet50 darknet17
    davit_tiny deit3_small_patch16_224 deit_tiny_distilled_patch16_224 densenet121 dla34 dm_nfnet_f0 dpn68
    eca_halonext26ts ecaresnet26t edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientnet_b0
    efficientnetv2_rw_t ese_vovnet19b_dw eva02_tiny_patch14_224 fastvit_t8 fbnetc_100 focalnet_tiny_srf gcvit_xxtiny
    gernet_s ghostnet_050 gmlp_ti16_224 halonet26t hardcorenas_a hgnet_tiny hgnetv2_b0 hiera_tiny_224 hrnet_w18_small
    inception_next_atto inception_resnet_v2 inception_v4 lambda_resnet26t lcnet_035 legacy_senet154 levit_128s
    mambaout_femto maxvit_nano_rw_256 mixer_s32_224 mnasnet_050 mobilenetv2_050 mobilenetv3_small_050
    mobilenetv4_conv_small mobilenetv4_hybrid_medium mobilevit_xs mobilevitv2_050 mvitv2_tiny
    naflexvit_base_patch16_gap nasnetalarge nest_tiny nfnet_l0 pit_ti_224 pnasnet5large poolformer_s12 pvt_v2_b0
    rdnet_tiny regnetx_002 regnety_004 regnetz_b16 repghostnet_050 repvgg_a0 repvit_m0_9 res2net50_26w_4s resmlp_12_224
    resnest26d resnet26d resnetrs50 resnetv2_50 resnetv2_50x1_bit rexnet_100 selecsls42b semnasnet_050 sequencer2d_s
    seresnet50 seresnext26d_32x4d shvit_s1 skresnet18 spnasnet_100 starnet_s1 swin_tiny_patch4_window7_224
    swinv2_tiny_window8_256 test_vit tf_efficientnet_b0 tf_efficientnetv2_b0 tiny_vit_5m_224 tinynet_e
    tnt_s_legacy_patch16_224 twins_pcpvt_small twins_svt_small vgg11 visformer_tiny vit_small_patch32_224
    vit_tiny_patch16_224 vitamin_small_224 volo_d1_224 xception41 xcit_nano_12_p16_224
""".split()  # noqa: SIM905
TOO_LARGE = {"regnet_y_128gf"}  # cannot be made without its 2.6 GB
SAMPLE = (
    *("torchvision:alexnet", "torchvision:googlenet", "torchvision:shufflenet_v2_x0_5", "torchvision:convnext_tiny"),
    *("torchvision:mobilenet_v3_small", "torchvision:regnet_y_400mf", "torchvision:swin_t", "torchvision:vit_b_32"),
    *("timm:resnet26d", "timm:tf_efficientnet_b0", "timm:dm_nfnet_f0", "timm:levit_128s", "timm:mobilevit_xs"),
    *("timm:lambda_resnet26t", "timm:mixer_s32_224", "timm:test_vit", "timm:skresnet18", "timm:pvt_v2_b0"),
)


def torchvisions() -> list[str]:
    """Every classifier of torchvision."""
    models = library("torchvision").models
    return [name for name in models.list_models(module=models) if name not in TOO_LARGE]


class Architecture(NamedTuple):
    """A module without its memory, its input, and the multiply-adds that its makers state (in thousand millions)."""

    module: nn.Module
    volume: Volume
    published: float | None


def architecture(text: str) -> Architecture:
    found = named(text)
    published = None
    of, _, name = text.partition(":")
    if of == "torchvision":
        weights = next(iter(library(of).models.get_model_weights(name)))
        published = weights.meta.get("_ops")
    volume = Volume(3, 224, 224) if name == "vit_h_14" else found.volume  # made for 224, fine-tuned on 518
    return Architecture(
        found.module.to("meta").eval(), volume or Volume(3, 224, 224), None if name == "vit_h_14" else published
    )


def by_shapes(module: nn.Module, volume: Volume) -> int:
    """Multiply-adds of one example by the shapes that reach torch's kernels, however the module got there."""
    example: Any = torch.empty(1, *volume, device="meta")
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Counter(lengths_product) as counter:
        module(example)
    return counter.count
