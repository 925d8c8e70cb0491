"""Settings of `python -m vitvis.sites`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config import setting
from vitvis.config.addresses import parse_addresses
from vitvis.config.sizes import parse_image_size

__all__ = ["SitesSettings"]


def _words(value: Any) -> Any:
    """Read `mlp,q` or `[mlp, q]`."""
    return [word.strip() for word in value.strip("[]").split(",") if word.strip()] if isinstance(value, str) else value


@dataclass
class SitesSettings:
    """List what can be looked at inside a model."""

    model: str = setting("vitvis_vit")
    """A bundled model or any timm model."""
    weights: str = setting("none", path="weights")
    """none (random: enough for a list), hub (bundled or downloaded), or a file; a file may change the size of the
    head."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Side of the image, or ROWSxCOLUMNS; the model's own when null."""
    kinds: list[str] = setting([], parser=_words)
    """Only these kinds, such as mlp,q: mlp, mlp_pre, q, k, v, attn, block, head; module lists every other submodule
    that can be tapped."""
    units: list[str] = setting([], parser=parse_addresses, path="any")
    """Only sites that these addresses name, such as 'blocks.*.mlp:0-7'; says how many units they are."""
    format: str = setting("table", choices=("table", "json", "csv"))
    """How to print."""
