"""The command `sites`, from a shell and from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vitvis.config import Command, Layer, merge, ready
from vitvis.sites.settings import SitesSettings

if TYPE_CHECKING:
    from vitvis.sites.table import SiteList

__all__ = ["COMMAND", "main", "run"]


def run(cfg: Layer = None, /, **settings: Any) -> SiteList:
    """List what can be looked at inside a model.

    Args:
        cfg: Settings, a mapping of them, a list of `a.b=c`, or a YAML file.
        settings: Single settings laid over `cfg`: `vitvis.sites.run(model="resnet50", kinds=["block"])`.

    Returns:
        The model, and a row a site.

    Raises:
        VitvisError: settings that can't be followed.
    """
    asked = ready(merge(SitesSettings, cfg, settings))
    from vitvis.sites.table import list_sites

    return list_sites(asked)


def _act(settings: SitesSettings, options: Mapping[str, str]) -> None:
    listed = run(settings)
    from vitvis.sites.table import print_sites

    print_sites(listed, settings.format)


COMMAND = Command(
    name="vitvis.sites",
    settings=SitesSettings,
    action=_act,
    summary="list the sites of a model and how many units they have",
    description="List what can be looked at inside a model: each site's kind, width, layout, tokens and depth.",
    examples=(
        "python -m vitvis.sites model=vit_base_patch16_224",
        "python -m vitvis.sites model=swin_tiny_patch4_window7_224 kinds=mlp,q",
        "python -m vitvis.sites model=resnet50 kinds=module format=json",
        "python -m vitvis.sites model=deit_tiny_patch16_224 units='blocks.{0,5,11}.mlp:~8'",
    ),
)
main = COMMAND.main
