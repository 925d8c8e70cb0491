"""The space where pictures and words meet: the text tower that was trained with an image tower."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
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
            model, tokens = _cut(self.model, self.tokenizer(list(texts[start : start + batch])).to(device))
            parts.append(functional.normalize(model.encode_text(tokens).float(), dim=-1).cpu())
        return torch.cat(parts)


def _cut(model: Any, tokens: Tensor) -> tuple[Any, Tensor]:
    """Leave out the padding behind the longest text, which a causal tower reads and never uses.

    A word takes 5 of the 77 positions, so that a vocabulary is embedded several times faster. Towers of other classes,
    masks or poolings get all positions.

    Returns:
        A shallow copy of the model that shares all weights but the first rows of the positions; `tokens [N, L]`.
    """
    if type(model).__name__ != "CLIP" or "attn_mask" not in model._buffers or model.text_pool_type != "argmax":
        return model, tokens
    mask = model._buffers["attn_mask"]
    if mask is None or not bool((mask.triu(1) == -torch.inf).eq(torch.ones_like(mask).triu(1).bool()).all()):
        return model, tokens
    length = int(tokens.argmax(dim=-1).max()) + 1
    short = copy.copy(model)
    short._parameters, short._buffers = dict(model._parameters), dict(model._buffers)
    short._parameters["positional_embedding"] = nn.Parameter(model.positional_embedding[:length], requires_grad=False)
    short._buffers["attn_mask"] = mask[:length, :length]
    return short, tokens[:, :length]
