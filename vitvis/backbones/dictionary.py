"""Dictionaries: encoders of sparse autoencoders and transcoders, whose latents are units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

__all__ = ["NORMALIZATIONS", "Dictionary"]

NORMALIZATIONS = ("none", "layer_norm", "constant_norm_rescale")
#: Bytes of pre-activations that are held at once where all latents are looked at: what stays in a processor's caches,
#: and what keeps a GPU busy.
_CPU_SLAB, _GPU_SLAB = 2**25, 2**30


@dataclass(frozen=True, eq=False)
class Dictionary:
    """An encoder: from activations `[..., D]` of a site to codes `[..., K]`, most of which are 0.

    With `x` normalised and `h = (x - shift) @ weight + bias`, a latent's code is `h` where `h` exceeds its threshold
    and, with `k`, is among the k largest of the token; else 0. That covers

    - ReLU: threshold 0; JumpReLU (Rajamanoharan et al. 2024, arXiv 2407.14435): its own, at least 0;
    - gated (Rajamanoharan et al. 2024, arXiv 2404.16014): the gate, brought to the scale of the magnitudes, is one;
    - TopK (Gao et al. 2024, arXiv 2406.04093): `k`, with threshold 0 where a ReLU follows and minus infinity elsewhere;
    - BatchTopK (Bussmann et al. 2024, arXiv 2412.06410), Matryoshka ones too: the threshold that training has left.

    Attributes:
        weight: `[D, K]`, float32.
        bias: `[K]`.
        threshold: `[K]`.
        shift: `[D]`, taken from the normalised input first; None: nothing is.
        normalize: what the input goes through, one of `NORMALIZATIONS`.
        k: latents of a token that may be on; None: any number.
        decoder: `[K, D']`, the rows that codes are multiplied by; None where the file has none.
        digest: 12 hexadecimal digits that name the content of the file.
        about: what the file says of itself: format, architecture.
    """

    weight: Tensor
    bias: Tensor
    threshold: Tensor
    shift: Tensor | None = None
    normalize: str = "none"
    k: int | None = None
    decoder: Tensor | None = None
    digest: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    _placed: dict[torch.device, Dictionary] = field(default_factory=dict, repr=False)

    @property
    def inputs(self) -> int:
        """Width of the site that it reads, D."""
        return int(self.weight.shape[0])

    @property
    def width(self) -> int:
        """Latents, K."""
        return int(self.weight.shape[1])

    def on(self, device: torch.device | str) -> Dictionary:
        """Return the same dictionary on a device; the copy is kept."""
        device = torch.device(device)
        if device == self.weight.device:
            return self
        if device not in self._placed:
            moved: dict[str, Any] = {
                name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor) and value.ndim
            }
            self._placed[device] = replace(self, **moved, _placed={})
        return self._placed[device]

    # -- the formula ----------------------------------------------------------------------------

    def centre(self, activations: Tensor) -> Tensor:
        """Return what is multiplied by the weight: activations `[..., D]`, normalised and shifted."""
        if self.normalize == "layer_norm":
            activations = activations - activations.mean(-1, keepdim=True)
            activations = activations / (activations.std(-1, keepdim=True) + 1e-5)
        elif self.normalize == "constant_norm_rescale":
            activations = activations * (self.inputs**0.5 / activations.norm(dim=-1, keepdim=True))
        return activations if self.shift is None else activations - self.shift

    def before(self, activations: Tensor) -> Tensor:
        """Return pre-activations, `[..., D]` -> `[..., K]`: what the sparsifying step is applied to."""
        own = self.on(activations.device)
        return own.centre(activations) @ own.weight + own.bias

    def sparsify(self, before: Tensor) -> Tensor:
        """Return codes of pre-activations, both `[..., K]`."""
        own = self.on(before.device)
        on = before > own.threshold
        if own.k is not None and own.k < own.width:
            chosen = torch.zeros_like(on).scatter_(-1, before.topk(own.k, dim=-1, sorted=False).indices, True)
            on = on & chosen
        return torch.where(on, before, torch.zeros_like(before))

    def encode(self, activations: Tensor) -> Tensor:
        """Return codes, `[..., D]` -> `[..., K]`."""
        return self.sparsify(self.before(activations))

    # -- some latents, without the others -------------------------------------------------------

    def own(self, activations: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Read from each image its own latent; gradients come back without those of the other latents.

        Args:
            activations: `[U, ..., D]`.
            latents: `[U]`, indices.

        Returns:
            Pre-activations and whether the latent is on, `[U, ...]` both.
        """
        own = self.on(activations.device)
        latents = latents.to(activations.device)
        shape = (len(latents), *[1] * (activations.ndim - 2))
        rows = own.weight.T[latents].view(*shape, own.inputs)
        # A product and a sum for each token alone: a matrix product may round a row by how many others there are.
        before = (own.centre(activations) * rows).sum(-1) + own.bias[latents].view(shape)
        on = before.detach() > own.threshold[latents].view(shape)
        if own.k is not None and own.k < own.width:
            # by the same margin by which two ways to add up the same numbers may differ
            least = own.least(activations.detach())
            on = on & (before.detach() >= least - 1e-5 * (1 + least.abs()))
        return before, on

    @torch.no_grad()
    def least(self, activations: Tensor) -> Tensor:
        """Return the k-th largest pre-activation of each token, `[..., D]` -> `[...]`."""
        flat = activations.reshape(-1, activations.shape[-1])
        found = [self.before(part).topk(self.k or 1, dim=-1).values[:, -1] for part in self._slabs(flat)]
        return torch.cat(found).view(activations.shape[:-1])

    @torch.no_grad()
    def active(self, activations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is on, and nothing of what is off.

        Args:
            activations: `[N, D]`, a token a row.

        Returns:
            Rows int64 `[n]`, ascending, latents int64 `[n]` and their codes `[n]`.
        """
        own = self.on(activations.device)
        found, first = [], 0
        for part in self._slabs(activations):
            before = own.before(part)
            if own.k is not None and own.k < own.width:
                values, latents = before.topk(own.k, dim=1, sorted=False)
                row, place = (values > own.threshold[latents]).nonzero(as_tuple=True)
                found.append((row + first, latents[row, place], values[row, place]))
            else:
                row, latent = (before > own.threshold).nonzero(as_tuple=True)
                found.append((row + first, latent, before[row, latent]))
            first += len(part)
        rows, latents, codes = (torch.cat(column) for column in zip(*found, strict=True))
        return rows, latents, codes

    def _slabs(self, activations: Tensor) -> Sequence[Tensor]:
        slab = _CPU_SLAB if activations.device.type == "cpu" else _GPU_SLAB
        return activations.split(max(1, slab // (4 * self.width)))
