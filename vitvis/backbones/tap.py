"""Read activations in the middle of a model, and stop there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from .backbone import Backbone
from .gradients import keep_gradient_layout
from .layouts import canonical
from .neutral import without_autocast
from .probe import first_tensor
from .site import Site

__all__ = ["Tap"]

R = TypeVar("R")


class _Done(BaseException):
    """All sites are read. Derives from BaseException so that no `except Exception` in a model swallows it."""


class Tap:
    """Context manager that reads sites and stops the forward pass at the last of them.

    Hooks exist only between `__enter__` and `__exit__`. Nothing after the deepest site is computed or kept for the
    backward pass. Works under autograd and autocast; a site that is asked for alone is not copied.

        with Tap(backbone, ["blocks.4.mlp"]) as tap:
            activations = tap(images)["blocks.4.mlp"]   # [B, T, C]

    Of many sites only what is needed may be kept: `tap(images, visit)` gives each site to `visit` the moment it is
    computed, and keeps what that returns instead.

    Args:
        backbone: the model.
        sites: sites or their names.

    Raises:
        VitvisError: no such site; names the nearest.
    """

    def __init__(self, backbone: Backbone, sites: Sequence[Site | str]) -> None:
        if isinstance(sites, (str, Site)):
            sites = [sites]
        self.backbone = backbone
        found = [backbone.site(site) if isinstance(site, str) else site for site in sites]
        self.sites = list({site.name: site for site in found}.values())
        self._handles: list[Any] = []
        self._raw: dict[str, Any] = {}
        self._visit: Callable[[Site, Tensor], Any] | None = None
        self._reading = False  # other passes through the backbone, inside the context, are none of our business
        self._batch = 0
        self._calls: dict[str, int] = {}

    def __enter__(self) -> Tap:
        try:
            for site in self.sites:
                module = self.backbone.model.get_submodule(site.module)
                if site.point.when == "input":
                    hook = self._on_input(site)
                    self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
                else:
                    self._handles.append(module.register_forward_hook(self._on_output(site)))
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._raw.clear()
        self._calls.clear()

    def _on_input(self, site: Site) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not self._reading:
                return
            value = args[0] if args else next(iter(kwargs.values()))
            if site.point.linear is not None:
                weight, bias, start, stop = site.point.linear
                rows = module.get_parameter(weight)[start:stop]
                shift = None if bias is None else getattr(module, bias)
                if shift is not None and len(shift) != stop - start:  # one bias for all three
                    shift = shift[start:stop]
                value = functional.linear(value, rows, shift)
            self._keep(site, value)

        return hook

    def _on_output(self, site: Site) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._keep(site, output)

        return hook

    def _keep(self, site: Site, value: Any) -> None:
        if not self._reading:
            return
        call = self._calls.get(site.name, 0)
        self._calls[site.name] = call + 1
        if call != site.point.call:
            return
        tensor = first_tensor(value if site.point.item is None else value[site.point.item])
        if tensor is None:
            raise TypeError(f"site {site.name}: {site.module} returned no tensor")
        last = len(self._raw) == len(self.sites) - 1
        if self._visit is None and site.point.clone and not last:
            tensor = tensor.clone()
        tensor = keep_gradient_layout(tensor)
        if self._visit is not None:
            with without_autocast(tensor.device.type):
                self._raw[site.name] = self._visit(site, _read(tensor, site, self._batch))
        else:
            self._raw[site.name] = tensor
        if last:
            raise _Done

    @staticmethod
    def _precision(images: Tensor, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
        if dtype is None:
            return nullcontext()
        kind = images.device.type
        if dtype in (torch.float32, torch.float64):
            return without_autocast(kind)
        return torch.autocast(kind, dtype)

    @overload
    def __call__(self, images: Tensor, *, dtype: torch.dtype | None = None) -> dict[str, Tensor]: ...

    @overload
    def __call__(
        self, images: Tensor, visit: Callable[[Site, Tensor], R], *, dtype: torch.dtype | None = None
    ) -> dict[str, R]: ...

    def __call__(
        self,
        images: Tensor,
        visit: Callable[[Site, Tensor], Any] | None = None,
        *,
        dtype: torch.dtype | None = None,
    ) -> dict[str, Any]:
        """Read the sites.

        Args:
            images: `[B, 3, H, W]` in [0, 1].
            visit: Called with each site and its activation during the forward pass; may not keep the activation itself,
                which the model may yet change in place.
            dtype: that the model computes in: float32 (whatever autocast is around), or bfloat16 or float16 (by
                autocast). None: as the caller's autocast says.

        Returns:
            Site name -> `[B, T, C]`, float32 (float64 of a model in float64): prefix tokens first, then row-major
            patches, windows undone; or what `visit` made of it. At a site of latents, the codes of all of them, which
            may be large: `site.source` is what they are made of.
        """
        if not self._handles:
            raise RuntimeError("use Tap as a context manager: with Tap(backbone, sites) as tap: tap(images)")
        self._raw.clear()
        self._calls.clear()
        self._visit, self._batch, self._reading = visit, int(images.shape[0]), True
        try:
            with self._precision(images, dtype):
                self.backbone(images)
        except _Done:
            pass
        finally:
            self._visit, self._reading = None, False
        missing = [site.name for site in self.sites if site.name not in self._raw]
        if missing:
            raise RuntimeError(f"the forward pass ended without reaching {', '.join(missing)}")
        try:
            if visit is not None:
                return {site.name: self._raw[site.name] for site in self.sites}
            with without_autocast(images.device.type):
                return {site.name: _read(self._raw[site.name], site, self._batch) for site in self.sites}
        finally:
            self._raw.clear()  # the caller decides how long the graph lives


def _read(raw: Tensor, site: Site, batch: int) -> Tensor:
    """Bring what a hook saw into its canonical form, or, at a site of latents, to their codes."""
    activations = canonical(raw, site.source, batch)
    return activations if site.dictionary is None else site.dictionary.encode(activations)
