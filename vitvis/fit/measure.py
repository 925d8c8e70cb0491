"""What a finished image is worth: measured on the clean image, in float32, each image for itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitvis.backbones import Site, Tap, Unit, select_tokens
from vitvis.backbones.backbone import Backbone

from .images.spectrum import frequencies, half_weights
from .objective import before_activation, cosine_units, pick, strongest, unit_directions
from .regularizers import paper_tv

__all__ = ["ASLEEP", "Firing", "describe", "hf_share", "measure_firing", "rank_of"]

#: A unit of an `mlp` site whose strongest tenth of tokens stays below this never woke up.
ASLEEP = 0.1
#: The share of the tokens that `activation_peak` averages.
PEAK_SHARE = 0.1


def hf_share(images: Tensor) -> Tensor:
    """Return the share 0..1 of the energy above half of Nyquist (radius 0.25 cycles a pixel), mean colour left out.

    `[U, 3, H, W]` -> `[U]`. White noise has `1 - pi / 16` (0.80), photos of 224 px about 0.03; a flat image 0.
    """
    size = (images.shape[-2], images.shape[-1])
    centred = images.float() - images.float().mean(dim=(-2, -1), keepdim=True)
    energy = torch.fft.rfft2(centred, norm="ortho").abs().square() * half_weights(size).to(images.device)
    high = (frequencies(size) > 0.25).to(images.device)
    total = energy.sum(dim=(1, 2, 3))
    share = (energy * high).sum(dim=(1, 2, 3)) / total.clamp_min(1e-12)
    return torch.where(total > 1e-9, share, 0.0)


def rank_of(values: Tensor, others: Tensor) -> Tensor:
    """Return the rank of each value `[U]` among `others` `[U, C]`: 1 + how many are larger."""
    return 1 + (others > values[:, None]).sum(dim=1)


@dataclass
class Firing:
    """How units fire on images; tensors `[U]`, in the direction that was asked for (times the unit's sign).

    Attributes:
        mean: mean over the tokens.
        peak: mean over the strongest tenth of the tokens.
        pre: mean over the tokens of the pre-activation, or None.
        rank: 1 where no other unit of the site fires more on the image.
        spread: standard deviation of the site's values over tokens and units; before the activation function of an
            `mlp` site, and before the step that makes latents sparse.
    """

    mean: Tensor
    peak: Tensor
    pre: Tensor | None
    rank: Tensor
    spread: Tensor


@torch.no_grad()
def measure_firing(
    backbone: Backbone, images: Tensor, site: Site, units: Sequence[Unit], tokens: Any = "patches", batch: int = 8
) -> Firing:
    """Run clean images and read their own units.

    Args:
        backbone: the model.
        images: `[U, 3, H, W]` in [0, 1].
        site: of all units.
        units: one an image.
        tokens: the tokens that count.
        batch: images at once, which bounds memory.
    """
    plain = all(unit.direction is None for unit in units)
    pre_site = before_activation(site, backbone.sites) if plain else None
    wanted = [site.source] if pre_site is None else [pre_site, site]
    directions = unit_directions(units, site).to(images.device)
    cosine = cosine_units(units).to(images.device)[:, None, None]
    parts: list[tuple[Tensor, ...]] = []
    with torch.autocast(images.device.type, enabled=False), Tap(backbone, wanted) as tap:
        for start in range(0, len(images), batch):
            rows = slice(start, start + batch)
            read = tap(images[rows].float())
            chosen = select_tokens(read[site.name], site, tokens)
            before = None if pre_site is None else select_tokens(read[pre_site.name], pre_site, tokens)
            if site.dictionary is not None:
                before = site.dictionary.before(chosen)
                chosen = site.dictionary.sparsify(before)
            if not plain:  # prompts are compared by angle
                length = chosen.norm(dim=-1, keepdim=True).clamp_min(1e-6)
                chosen = torch.where(cosine[rows], chosen / length, chosen)
            values = pick(chosen[:, None], directions[rows])[:, 0]
            signs = torch.tensor([unit.sign for unit in units[rows]], device=images.device)
            means = chosen.mean(dim=1) * signs[:, None]
            own = values.mean(dim=-1)
            if plain:  # the very numbers that are compared, or rounding puts a unit behind itself
                own = means.gather(1, torch.tensor([[unit.index] for unit in units[rows]], device=images.device))[:, 0]
            part = [own, strongest(values, PEAK_SHARE), rank_of(own, means)]
            if before is None:
                part.append(chosen.flatten(1).std(dim=1, correction=0))
            else:
                part.append(before.flatten(1).std(dim=1, correction=0))
                part.append(pick(before[:, None], directions[rows])[:, 0].mean(dim=-1))
            parts.append(tuple(part))
    joined = [torch.cat(column) for column in zip(*parts, strict=True)]
    return Firing(joined[0], joined[1], joined[4] if len(joined) > 4 else None, joined[2], joined[3])


def describe(
    site: Site, images: Tensor, before: Sequence[float | None], after: Firing, failed: Sequence[bool]
) -> list[dict[str, Any]]:
    """Return the measures of finished images as rows of records.

    Args:
        site: of all units.
        images: `[U, 3, H, W]` in [0, 1].
        before: mean activation on the starting images.
        after: how units fire on the finished ones.
        failed: images whose gradient or activation was NaN or infinite in some step.
    """
    shares, tvs = hf_share(images).tolist(), paper_tv(images.float()).tolist()
    means, peaks, ranks = after.mean.tolist(), after.peak.tolist(), after.rank.tolist()
    pres = [None] * len(means) if after.pre is None else after.pre.tolist()
    rows = []
    for i, mean in enumerate(means):
        status, message = "ok", ""
        if failed[i] or not math.isfinite(mean) or not math.isfinite(peaks[i]):
            status, message = "failed", "a gradient or an activation was NaN or infinite; the image stopped there"
        elif site.kind == "mlp" and peaks[i] < ASLEEP:
            status, message = "dead", f"the strongest tenth of the tokens stays below {ASLEEP}"
        elif site.kind == "latent" and not peaks[i]:
            status, message = "dead", "the latent is off on all tokens that count"
        elif site.kind != "mlp" and before[i] is not None and mean <= before[i]:
            status, message = "dead", "the activation did not rise above that of the starting image"
        rows.append(
            {
                "status": status,
                "message": message,
                "activation_start": _finite(before[i]),
                "activation": _finite(mean),
                "activation_peak": _finite(peaks[i]),
                "activation_pre": _finite(pres[i]),
                "rank": int(ranks[i]),
                "site_width": site.width,
                "hf_share": _finite(shares[i]),
                "tv": _finite(tvs[i]),
            }
        )
    return rows


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
