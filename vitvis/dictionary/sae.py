"""A sparse autoencoder with TopK (Gao et al. 2024, arXiv 2406.04093). Mathematics only: no Lightning."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Coded", "TopKAutoencoder", "explained_variance"]


class Coded(NamedTuple):
    """What an autoencoder makes of activations `[N, D]`.

    Attributes:
        before: `[N, K]`, pre-activations.
        latents: int64 `[N, k]`, those that are on or whose code is 0.
        codes: `[N, k]`, theirs, at least 0.
        output: `[N, D]`.
    """

    before: Tensor
    latents: Tensor
    codes: Tensor
    output: Tensor


class TopKAutoencoder(nn.Module):
    """`codes = TopK(relu((x - b_dec) W_enc + b_enc))`, `x = codes W_dec + b_dec`; rows of `W_dec` have length 1.

    The encoder starts as the decoder's transpose, which is what leaves few latents dead (Gao et al., appendix A.1).

    Args:
        inputs: D, width of the activations.
        latents: K.
        k: latents that are on.
        generator: of the start.
    """

    def __init__(self, inputs: int, latents: int, k: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.k = k
        rows = functional.normalize(torch.randn(latents, inputs, generator=generator), dim=1)
        self.W_dec = nn.Parameter(rows)
        self.W_enc = nn.Parameter(rows.T.clone())
        self.b_enc = nn.Parameter(torch.zeros(latents))
        self.b_dec = nn.Parameter(torch.zeros(inputs))

    def forward(self, activations: Tensor) -> Coded:
        """Encode and decode activations `[N, D]`."""
        before = (activations - self.b_dec) @ self.W_enc + self.b_enc
        values, latents = before.topk(self.k, dim=1, sorted=False)
        codes = values.relu()
        return Coded(before, latents, codes, self.decode(latents, codes) + self.b_dec)

    def decode(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Add up the decoder's rows of some latents, times their codes: `[N, n]` twice -> `[N, D]`."""
        return functional.embedding_bag(latents, self.W_dec, per_sample_weights=codes, mode="sum")

    def revival(self, coded: Coded, activations: Tensor, dead: Tensor) -> Tensor:
        """Return how far dead latents are from explaining what the others leave, in shares of it (AuxK, section 2.4).

        Args:
            coded: what the autoencoder made of the activations.
            activations: `[N, D]`.
            dead: int64 `[n]`, latents.
        """
        left = (activations - coded.output).detach()
        number = min(len(dead), max(1, activations.shape[1] // 2))
        values, places = coded.before[:, dead].topk(number, dim=1, sorted=False)
        guess = self.decode(dead[places], values.relu())
        spread = (left - left.mean(0)).square().sum().clamp_min(1e-12)
        return (guess - left).square().sum() / spread

    @torch.no_grad()
    def keep_lengths(self) -> None:
        """Take out of the decoder's gradient what would only change the rows' lengths; called before a step."""
        gradient = self.W_dec.grad
        if gradient is not None:
            gradient -= (gradient * self.W_dec).sum(1, keepdim=True) * self.W_dec

    @torch.no_grad()
    def normalize(self) -> None:
        """Bring the decoder's rows back to length 1; called after a step."""
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp_min(1e-8))


def explained_variance(activations: Tensor, output: Tensor, mean: Tensor | None = None) -> Tensor:
    """Return `1 - sum |x - y|^2 / sum |x - mean|^2`, over tokens and channels: 1 where all is explained.

    Args:
        activations: x, `[N, D]`.
        output: y, `[N, D]`.
        mean: `[D]` of the activations; None: that of these.
    """
    mean = activations.mean(0) if mean is None else mean
    return 1 - (activations - output).square().sum() / (activations - mean).square().sum().clamp_min(1e-12)
