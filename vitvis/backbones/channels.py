"""What has to hold of channels before any work is done."""

from __future__ import annotations

from collections.abc import Sequence

from vitvis.errors import VitvisError

__all__ = ["check_bands"]


def check_bands(bands: Sequence[int] | None, channels: int) -> None:
    """Refuse bands that a model's images do not have, or that would do nothing.

    Raises:
        VitvisError: naming them.
    """
    if bands is None:
        return
    if channels == 3:
        raise VitvisError(f"bands={list(bands)}: does nothing here, the model takes RGB")
    if min(bands) < 0 or max(bands) >= channels:
        raise VitvisError(f"bands={list(bands)}: the model takes {channels} bands, 0 to {channels - 1}")
