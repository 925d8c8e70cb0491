"""How many images fit: the budget in bytes, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vitvis.fit import choose_chunk, memory
from vitvis.fit.settings import FitSettings

GIB = 2**30


@pytest.mark.parametrize("images", [1, 2, 5, 7])
def test_a_cpu_keeps_one_and_a_half_gib(backbone, images) -> None:
    """So many copies that `images` and a half of them fill the budget."""
    site, cpu = backbone.site("blocks.1.mlp"), torch.device("cpu")
    copies = round(1.5 * GIB / (images + 0.5) / memory.saved_bytes(backbone, site))
    assert choose_chunk(backbone, [site, backbone.site("blocks.0.mlp")], FitSettings(copies=copies), cpu) == images


@pytest.mark.parametrize(
    ("device", "mib", "copies", "limit", "images"),
    [
        ("cpu", 100, 2, None, 7),  # 1,536 MiB, 200 each
        ("cpu", 1, 1, None, 8),  # more brings no speed
        ("cpu", 4000, 1, None, 1),  # one there has to be
        ("cuda", 1024, 2, None, 8),  # 16 GiB, 2 each
        ("cuda", 1, 1, None, 64),
        ("cuda", 1, 1, 256, 256),
        ("cuda", 1024, 1, 256, 16),
    ],
)
def test_the_budget_by_hand(monkeypatch, device, mib, copies, limit, images) -> None:
    monkeypatch.setattr(memory, "saved_bytes", lambda backbone, site: mib * 2**20 * site.depth)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda where: SimpleNamespace(total_memory=80 * GIB))
    sites = [SimpleNamespace(depth=depth) for depth in (0, 1)]
    assert choose_chunk(None, sites, FitSettings(copies=copies), torch.device(device), limit) == images
