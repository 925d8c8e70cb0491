"""The frozen network as a step reads it: each image's own unit, by the quickest way that gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from vitvis.backbones import Site, Tap
from vitvis.backbones.backbone import Backbone
from vitvis.backbones.bfloat16 import CastWeights, fitting_attention, fused_attentions
from vitvis.backbones.neutral import without_autocast
from vitvis.fit.settings import FitSettings

from .compile import compiled_blocks
from .objective import Objective
from .patches import as_products, patch_convolutions
from .shortcut import Shortcut, find_shortcut

__all__ = ["Reader"]


class Reader:
    """Reads the units of one chunk after the other.

    Args:
        backbone: the frozen model.
        settings: of a fit.

    Attributes:
        shortcuts: the short way to the chunk's units by site, None where there is none; looked for once a chunk.
        weights: as autocast uses them.
    """

    def __init__(self, backbone: Backbone, settings: FitSettings) -> None:
        self.backbone, self.settings = backbone, settings
        self.shortcuts: dict[str, Shortcut | None] = {}
        self.weights = CastWeights(backbone)
        self._attentions = fused_attentions(backbone)
        self._patches = patch_convolutions(backbone, backbone.channels)
        self._compiled = ExitStack()

    def begin(self, site: Site) -> None:
        """Take up a chunk of units of a site."""
        self.close()
        self.shortcuts = {}
        if self.settings.trainer.compile:
            self._compiled.enter_context(compiled_blocks(self.backbone, site, self.settings.trainer.compile_mode))

    def close(self) -> None:
        """Give the backbone back as it was."""
        self._compiled.close()

    def begin_step(self) -> None:
        """Let the graphs of a compiled model have the memory of the step before."""
        if self.settings.trainer.compile:
            torch.compiler.cudagraph_mark_step_begin()

    def read(
        self,
        copies: Tensor,
        objective: Objective,
        progress: float,
        others: Sequence[Site],
        example: Callable[[], Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what each image's own unit is on its copies, and what other sites hold.

        Args:
            copies: `[U * A, C, H, W]` in [0, 1], the copies of an image together.
            objective: of the chunk.
            progress: 0..1, the share of the steps that is done.
            others: what is read beside the units' own site.
            example: gives images `[N, C, H, W]`; a short way is checked on the first of them.

        Returns:
            `[U, A, T]`, and `[U * A, T, C]` by name of a site.
        """
        site, kind = objective.site_at(progress), copies.device.type
        shortcut = self._shortcut(site, objective, example)
        own = site if shortcut is None else shortcut.site
        with (
            fitting_attention(self._attentions),
            as_products(self._patches),
            self.weights.use(kind),
            Tap(self.backbone, [*others, own]) as tap,
        ):
            found = tap(copies)
        with without_autocast(kind):
            if shortcut is None:
                return objective.values(found[own.name], progress), found
            return shortcut.read(found[own.name], self.settings.objective.tokens), found

    def keep(self, rows: Tensor) -> None:
        """Go on with the units of some images alone."""
        self.shortcuts = {name: short and short.keep(rows) for name, short in self.shortcuts.items()}

    def _shortcut(self, site: Site, objective: Objective, example: Callable[[], Tensor]) -> Shortcut | None:
        if site.name not in self.shortcuts:
            found = None
            if objective.linear:
                with without_autocast(objective.directions.device.type):  # in bf16 the two ways never agree
                    found = find_shortcut(
                        self.backbone,
                        site,
                        objective.directions,
                        example()[:1],
                        plain=objective.channels is not None,
                        tokens=self.settings.objective.tokens,
                    )
            self.shortcuts[site.name] = found
        return self.shortcuts[site.name]
