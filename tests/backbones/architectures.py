"""Small versions of the architectures that the tests go through: image size, settings, kinds that must be found."""

from __future__ import annotations

from typing import Any

VIT = "q k v attn mlp mlp_pre block"
CNN = "block head"
SMALL: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 4}

ARCHITECTURES: dict[str, tuple[int, dict[str, Any], str]] = {
    # plain ViT: supervised, MAE, CLIP, SigLIP, DINO with registers and SwiGLU, relative positions, windows of SAM
    "vit_tiny_patch16_224": (64, {"depth": 2}, VIT + " head"),
    "vit_base_patch16_224.mae": (64, SMALL, VIT),
    "vit_base_patch16_clip_224": (64, SMALL, VIT + " head"),
    "vit_base_patch16_siglip_224": (64, SMALL, VIT),
    "vit_small_patch14_reg4_dinov2": (56, {"depth": 2}, VIT),
    "vit_giant_patch14_dinov2": (56, SMALL, VIT),
    "vit_small_patch16_dinov3": (64, {"depth": 2}, VIT),
    "vit_relpos_small_patch16_224": (64, {"depth": 2}, VIT + " head"),
    "samvit_base_patch16": (64, {**SMALL, "global_attn_indexes": (1,), "window_size": 3}, VIT),
    # DeiT, class attention
    "deit_tiny_patch16_224": (64, {"depth": 2}, VIT + " head"),
    "deit_tiny_distilled_patch16_224": (64, {"depth": 2}, VIT + " head"),
    "deit3_small_patch16_224": (64, {"depth": 2}, VIT + " head"),
    "cait_xxs24_224": (64, {"depth": 2}, VIT + " head"),
    "volo_d1_224": (64, {}, VIT + " head"),
    "xcit_nano_12_p16_224": (64, {"depth": 2}, VIT + " head"),
    # BEiT and EVA: three biases, split projections, SwiGLU
    "beit_base_patch16_224": (64, SMALL, VIT + " head"),
    "beitv2_base_patch16_224": (64, SMALL, VIT + " head"),
    "eva_giant_patch14_224": (56, SMALL, VIT + " head"),
    "eva02_tiny_patch14_224": (56, {"depth": 2}, VIT),
    "eva02_base_patch14_224": (56, SMALL, VIT),
    # windows, hierarchies
    "swin_tiny_patch4_window7_224": (112, {"depths": (2, 2, 1, 1), "embed_dim": 24}, VIT + " head"),
    "swinv2_tiny_window8_256": (64, {"depths": (2, 2, 1, 1), "embed_dim": 24, "window_size": 4}, VIT + " head"),
    "swinv2_cr_tiny_ns_224": (64, {"depths": (2, 2, 1, 1), "embed_dim": 24, "window_size": 4}, VIT + " head"),
    "hiera_tiny_224": (64, {"stages": (1, 1, 2, 1)}, VIT + " head"),
    "sam2_hiera_tiny": (64, {"stages": (1, 2, 2, 1), "window_spec": (8, 4, 4, 2), "global_att_blocks": (2,)}, VIT),
    "tiny_vit_5m_224": (96, {"depths": (1, 1, 2, 1)}, VIT + " head"),
    "coat_lite_tiny": (64, {"serial_depths": (1, 1, 1, 1)}, VIT + " head"),
    "coat_tiny": (64, {"serial_depths": (1, 1, 1, 1), "parallel_depth": 1}, VIT + " head"),
    "convit_tiny": (64, {"depth": 2, "local_up_to_layer": 1}, VIT + " head"),
    "pit_ti_224": (64, {"depth": (1, 2, 1)}, VIT + " head"),
    "pit_ti_distilled_224": (64, {"depth": (1, 1, 1)}, VIT + " head"),
    "twins_svt_small": (64, {"depths": (2, 2, 1, 1)}, VIT + " head"),
    "twins_pcpvt_small": (64, {"depths": (1, 1, 1, 1)}, VIT + " head"),
    "levit_128s": (64, {}, VIT + " head"),
    "pvt_v2_b0": (64, {"depths": (1, 1, 1, 1)}, VIT + " head"),
    "davit_tiny": (64, {"depths": (1, 1, 1, 1)}, VIT + " head"),
    "nest_tiny": (64, {}, VIT + " head"),
    "mvitv2_tiny": (64, {}, VIT + " head"),
    # inner tokens beside the outer ones; patches unfolded for attention; attention on maps; a head of some channels
    "tnt_s_patch16_224": (64, {"depth": 2}, VIT + " head"),
    "mobilevit_xxs": (64, {}, VIT + " head"),
    "mobilevitv2_050": (64, {}, "mlp mlp_pre block head"),
    "fastvit_sa12": (128, {"layers": (1, 1, 1, 1)}, VIT + " head"),
    "fastvit_mci0": (128, {"layers": (1, 1, 1, 1)}, VIT + " head"),
    "shvit_s1": (128, {}, "q k v attn mlp mlp_pre block head"),
    "coatnet_rmlp_nano_rw_224": (64, {}, VIT + " head"),
    "csatv2": (256, {}, VIT + " head"),
    # MLPs on tokens
    "mixer_s32_224": (64, {}, "mlp mlp_pre block head"),
    "resmlp_12_224": (64, {}, "mlp mlp_pre block head"),
    "gmlp_ti16_224": (64, {}, "mlp mlp_pre block head"),
    # convolutions
    "convnext_atto": (64, {"depths": (1, 1, 2, 1)}, "mlp mlp_pre block head"),
    "convnextv2_atto": (64, {"depths": (1, 1, 2, 1)}, "mlp mlp_pre block head"),
    "mobilenetv2_100": (64, {}, "mlp mlp_pre block head"),
    "mobilenetv3_small_050": (64, {}, "mlp mlp_pre block head"),
    "efficientnet_b0": (64, {}, "mlp mlp_pre block head"),
    "mambaout_femto": (64, {"depths": (1, 1, 2, 1)}, "mlp mlp_pre block head"),
    "repvit_m1": (64, {"depth": (1, 1, 1, 1)}, "mlp mlp_pre block head"),
    "efficientvit_m0": (128, {}, "mlp mlp_pre block head"),
    "efficientvim_m1": (128, {}, "mlp mlp_pre block head"),
    "iformer_t": (64, {"depths": (1, 1, 3, 3), "attn_groups": (0, 0, 1, 1)}, "mlp mlp_pre block head"),
    "resnet18": (64, {}, CNN),
    "resnet50": (64, {"layers": (1, 1, 1, 1)}, CNN),
    "resnetv2_50": (64, {"layers": (1, 1, 1, 1)}, CNN),
    "regnety_002": (64, {}, CNN),
    "densenet121": (64, {"block_config": (2, 2, 2, 2)}, CNN),
}
