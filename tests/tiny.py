"""Tiny networks that tests call by name, `model=python:tests.tiny:rgb`, and dictionaries for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 24


def _network(channels: int, size: tuple[int, int]) -> tuple[nn.Module, dict[str, Any]]:
    from timm.models import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(channels)
        model = VisionTransformer(
            img_size=size, patch_size=8, embed_dim=WIDTH, depth=2, num_heads=2, num_classes=5, in_chans=channels
        )
    return model, {"image_size": size, "mean": [0.4] * channels, "std": [0.3] * channels}


def rgb() -> tuple[nn.Module, dict[str, Any]]:
    """Three channels, 32 x 32 px."""
    return _network(3, (32, 32))


def one() -> tuple[nn.Module, dict[str, Any]]:
    """Grey pictures of 24 x 40 px."""
    return _network(1, (24, 40))


def two() -> tuple[nn.Module, dict[str, Any]]:
    """Two bands, 24 x 40 px."""
    return _network(2, (24, 40))


def six() -> tuple[nn.Module, dict[str, Any]]:
    """Six bands, 24 x 40 px."""
    return _network(6, (24, 40))


def encoder(latents: int = 60, inputs: int = WIDTH, seed: int = 0) -> dict[str, Tensor]:
    """Return random weights of a dictionary in SAELens' names."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(inputs, latents, generator=generator) * 0.4
    return {
        "W_enc": weight,
        "b_enc": torch.randn(latents, generator=generator) * 0.1,
        "W_dec": torch.randn(latents, inputs, generator=generator),
        "b_dec": torch.randn(inputs, generator=generator) * 0.1,
    }


def write_saelens(folder: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    """Write a folder as SAELens does."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "sae_weights.safetensors")
    own = {"architecture": "standard", "apply_b_dec_to_input": True, "normalize_activations": "none"}
    (folder / "cfg.json").write_text(json.dumps(own | config))
    return folder
