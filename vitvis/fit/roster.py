"""Which images of a chunk are still in the batch, and what those that have left are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Roster"]


class Roster:
    """Keeps the last word of images that leave: rows of named tensors, one row an image.

    Attributes:
        rows: int64, the places in the chunk of the images that are in the batch; None while all are.
    """

    def __init__(self) -> None:
        self.rows: Tensor | None = None
        self._whole: dict[str, Tensor] = {}

    def leave(self, staying: Tensor, tensors: Mapping[str, Tensor]) -> None:
        """Let all but some images leave.

        Args:
            staying: int64, rows of the batch that stay.
            tensors: `[U, ...]`, of the batch as it is.
        """
        self._whole = {name: self.whole(name, tensor).detach().clone() for name, tensor in tensors.items()}
        self.rows = staying if self.rows is None else self.rows[staying]

    def whole(self, name: str, tensor: Tensor) -> Tensor:
        """Return a tensor for all images of the chunk: of those in the batch as given, of the others as they left."""
        if self.rows is None:
            return tensor
        whole = self._whole[name].clone()
        whole[self.rows] = tensor.detach()
        return whole

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        whole = {name: tensor.cpu() for name, tensor in self._whole.items()}
        return {"rows": None if self.rows is None else self.rows.cpu(), "whole": whole}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from a checkpoint."""
        self.rows = None if state["rows"] is None else state["rows"].to(device)
        self._whole = {name: tensor.to(device) for name, tensor in state["whole"].items()}
