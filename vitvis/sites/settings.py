"""Settings of `python -m vitvis.sites`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitvis.config.core import setting
from vitvis.config.values import split_units
from vitvis.fit.settings import parse_size

__all__ = ["SitesSettings"]


def _words(value: Any) -> Any:
    """Read `mlp,q` or `[mlp, q]`."""
    return [word.strip() for word in value.strip("[]").split(",") if word.strip()] if isinstance(value, str) else value


@dataclass
class SitesSettings:
    """List what can be looked at inside a model."""

    model: str = setting("vitvis_vit", "a bundled model or any timm model")
    weights: str = setting("none", "none (random: enough for a list), hub (bundled or downloaded), or a file; "
                           "a file may change the size of the head")  # fmt: skip
    image_size: Any = setting(None, "side of the image, or ROWSxCOLUMNS; the model's own when null", unit="px",
                              parser=parse_size)  # fmt: skip
    kinds: list[str] = setting([], "only these kinds, such as mlp,q: mlp, mlp_pre, q, k, v, attn, block, head; "
                               "module lists every other submodule that can be tapped", parser=_words)  # fmt: skip
    units: list[str] = setting([], "only sites that these addresses name, such as 'blocks.*.mlp:0-7'; says how "
                               "many units they are", parser=split_units)  # fmt: skip
    format: str = setting("table", "how to print", choices=("table", "json", "csv"))
