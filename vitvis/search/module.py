"""The search as a pass over data: every batch goes through the tap into the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from vitvis.backbones import Backbone, Tap
from vitvis.backbones.bfloat16 import Bfloat16
from vitvis.data.loader import Batch, ModelView
from vitvis.data.passes import PhotoPass
from vitvis.data.source import Source
from vitvis.search.layout import Layout
from vitvis.search.readings import SiteReader, SiteReading
from vitvis.search.state import SearchState, merge_states, observe

__all__ = ["ExemplarSearch"]

#: Names the layout of `SearchState.pack`: parts that an older layout has left are not taken up.
_BELONGS = "a search, rankings by place"


class ExemplarSearch(PhotoPass):
    """Looks for the images that excite units most.

    Args:
        backbone: The model.
        tap: An open tap at the sources of all sites of the layout.
        layout: The units.
        source: The images.
        new_state: Makes the state before the first image, on a device.
        out: The run folder.
        options: Of `PhotoPass`.
    """

    state: SearchState

    def __init__(
        self,
        backbone: Backbone,
        tap: Tap,
        layout: Layout,
        source: Source,
        new_state: Callable[[torch.device], SearchState],
        out: Path,
        **options: Any,
    ) -> None:
        view = ModelView(backbone.transform(), masks=source.has_objects)
        super().__init__(source, view, out, _BELONGS, objects=source.has_objects, **options)
        self.backbone, self.tap, self.layout, self.new_state = backbone, tap, layout, new_state
        self._lean = Bfloat16(backbone)

    def start(self, device: torch.device) -> None:
        """Begin with empty rankings."""
        self.state = self.new_state(device)

    def look(self, batch: Batch) -> None:
        """Let one batch in; images with an activation that isn't a finite number are left out."""
        with self._lean.use(batch.images.device.type):
            readings = self._read(batch)
        left_out = observe(self.state, self.layout, readings, batch.indices)
        for row in left_out.nonzero()[:, 0].tolist():
            entry = batch.entries[row]
            self.skipped.append((entry.index, entry.key, "an activation isn't a finite number"))

    def pack(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return self.state.pack()

    def unpack(self, found: Mapping[str, Any], device: torch.device) -> None:
        """Take up a state."""
        self.state = SearchState.unpack(found, device)

    def joined(self) -> SearchState:
        """Return the state of all processes together; `skipped` and `counts` are theirs, too, afterwards."""
        whole: SearchState | None = None
        for _ in self.join():
            whole = self.state if whole is None else merge_states(whole, self.state, self.layout)
        assert whole is not None, "every process saves its part before they meet"
        return whole

    def _read(self, batch: Batch) -> dict[str, SiteReading]:
        images = batch.images
        reader = SiteReader(self.layout, self.state.strongest, batch.indices, batch.masks, maps=bool(self.state.maps))
        if images.device.type == "cpu":
            return self.tap(images, reader)  # while the activations are in the caches
        # elsewhere a look at each site in turn would let the device wait for the next layer's kernels
        sites = {site.name: site for site in self.tap.sites}
        return {name: reader(sites[name], value) for name, value in self.tap(images).items()}
