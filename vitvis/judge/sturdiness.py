"""Sturdiness: how much of its activation a picture keeps under changes that a person would hardly notice.

What a unit looks for survives them; an adversarial pattern does not.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vitvis.backbones import Site, Tap, Unit, select_tokens
from vitvis.backbones.backbone import Backbone
from vitvis.backbones.neutral import without_autocast
from vitvis.fit.objective import cosine_units, pick, unit_directions

__all__ = ["CHANGES", "change", "kept_share", "read_activation", "sturdiness"]

#: Changes, in the order of the columns. `bf16` changes the model's arithmetic, not the picture.
CHANGES = ("shift", "turn", "zoom", "blur", "jpeg", "bf16")
SHIFT, TURN, ZOOM, BLUR, JPEG = 1 / 16, 8.0, 1.15, 1 / 64, 60


def change(images: Tensor, name: str) -> Tensor:
    """Return images `[N, 3, H, W]` in [0, 1], changed a little.

    `shift` moves by 1/16 of the side both ways, `turn` by 8 degrees, `zoom` by 1.15 into the picture (all three reflect
    at the border), `blur` is Gaussian with a standard deviation of 1/64 of the side, `jpeg` has quality 60.
    """
    if name == "shift":
        return _warp(images, shift=SHIFT)
    if name == "turn":
        return _warp(images, degrees=TURN)
    if name == "zoom":
        return _warp(images, zoom=ZOOM)
    if name == "blur":
        return _blur(images, BLUR * min(images.shape[-2:]))
    if name == "jpeg":
        return torch.stack([_jpeg(image) for image in images])
    if name == "bf16":
        return images
    raise ValueError(f"no change {name}; there are: {', '.join(CHANGES)}")


def kept_share(changed: Tensor, clean: Tensor, nothing: Tensor) -> Tensor:
    """Return the share 0..1 of what a picture adds to its unit's activation that is left.

    Args:
        changed: Activation of the changed picture, `[N]`.
        clean: Of the picture itself.
        nothing: Of a grey image, which is where the activation is measured from: a logit is not zero on one.

    Returns:
        float32 `[N]`; NaN where the picture adds nothing.
    """
    rise = clean - nothing
    share = ((changed - nothing) / rise.clamp_min(1e-9)).clamp(0, 1)
    return torch.where(rise > 1e-6, share, torch.nan)


def read_activation(
    backbone: Backbone,
    images: Tensor,
    site: Site,
    units: Sequence[Unit],
    tokens: Any = "patches",
    *,
    bf16: bool = False,
) -> Tensor:
    """Return the activation of one unit of a site on each image, mean over the tokens: float32 `[N]`.

    Args:
        backbone: The run's model.
        images: `[N, 3, H, W]` in [0, 1], at its size; or one image, on which all units are read.
        site: Of all units.
        units: One an image; a prompt counts by its cosine.
        tokens: Positions that count.
        bf16: Compute in bfloat16 where autocast does.
    """
    directions = unit_directions(units, site).to(images.device)
    cosine = cosine_units(units).to(images.device)[:, None]
    kind = images.device.type
    with torch.no_grad(), torch.autocast(kind, torch.bfloat16) if bf16 else without_autocast(kind):
        with Tap(backbone, [site.source]) as tap:
            found = select_tokens(tap(images)[site.name], site, tokens).float()  # [N, T, C]
    if site.dictionary is not None:
        latents = torch.tensor([unit.index for unit in units])
        before, on = site.dictionary.own(found.expand(len(units), -1, -1), latents)
        return torch.where(on, before, 0.0).mean(1) * directions.sum(1)
    values = pick(found[:, None].expand(len(units), -1, -1, -1), directions)[:, 0]  # [N, T]
    values = torch.where(cosine, values / found.norm(dim=-1).clamp_min(1e-6), values)
    return values.mean(1)


def sturdiness(
    backbone: Backbone, images: Tensor, site: Site, units: Sequence[Unit], tokens: Any = "patches"
) -> dict[str, Tensor]:
    """Return the share of the activation that each change leaves, `[N]` by name of `CHANGES`."""
    clean = read_activation(backbone, images, site, units, tokens)
    nothing = read_activation(backbone, torch.full_like(images[:1], 0.5), site, units, tokens)
    return {
        name: kept_share(
            read_activation(backbone, change(images, name), site, units, tokens, bf16=name == "bf16"), clean, nothing
        )
        for name in CHANGES
    }


def _warp(images: Tensor, *, shift: float = 0.0, degrees: float = 0.0, zoom: float = 1.0) -> Tensor:
    """Shift (in sides), turn and zoom about the centre; the output pixel looks up where it comes from."""
    height, width = images.shape[-2:]
    cos, sin = np.cos(np.radians(degrees)) / zoom, np.sin(np.radians(degrees)) / zoom
    matrix = torch.tensor(
        [[cos, -sin * height / width, 2 * shift], [sin * width / height, cos, 2 * shift]],
        dtype=images.dtype,
        device=images.device,
    )
    grid = functional.affine_grid(matrix.expand(len(images), -1, -1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _blur(images: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma).square())
    weights = (weights / weights.sum()).to(images.dtype)
    channels = images.shape[1]
    padded = functional.pad(images, [reach] * 4, mode="reflect")
    across = functional.conv2d(padded, weights.expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(across, weights[:, None].expand(channels, 1, -1, 1), groups=channels)


def _jpeg(image: Tensor) -> Tensor:
    from PIL import Image

    if len(image) != 3:  # a file a band
        return torch.cat([_jpeg(band.expand(3, -1, -1))[:1] for band in image.split(1)])
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=JPEG)
    back = np.array(Image.open(buffer).convert("RGB"))
    return torch.from_numpy(back).permute(2, 0, 1).to(image) / 255
