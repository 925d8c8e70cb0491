"""The space where pictures and words meet: the text tower that was trained with an image tower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Language"]


class Language:
    """A text tower. No `nn.Module`, so that it is neither moved nor saved with the image tower it belongs to.

    Args:
        model: of open_clip, with `encode_text`.
        tokenizer: texts to tokens `[N, L]`.
        name: of the model.
        weights_id: names the weights of the text tower.
    """

    def __init__(self, model: Any, tokenizer: Callable[[list[str]], Tensor], name: str, weights_id: str) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.weights_id = weights_id

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str], batch: int = 256) -> Tensor:
        """Return the embeddings of texts, `[N, D]` of length 1, on the CPU."""
        device = next(self.model.parameters()).device
        parts = []
        for start in range(0, len(texts), batch):
            tokens = self.tokenizer(list(texts[start : start + batch])).to(device)
            parts.append(functional.normalize(self.model.encode_text(tokens).float(), dim=-1).cpu())
        return torch.cat(parts)
