"""What a record calls a finished image: ok, dead or failed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from vitvis.fit.measure import Firing, describe

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("kind", "before", "mean", "peak", "failed", "status"),
    [
        ("mlp", 0.5, 0.4, 0.2, False, "ok"),  # a feed-forward unit is alive when it fires, whatever it did before
        ("mlp", 0.0, 0.05, 0.09, False, "dead"),
        ("mlp", -0.1, -0.05, 0.0, False, "dead"),  # it rose, and still does not fire
        ("block", -9.0, -8.0, -7.0, False, "ok"),  # other sites have no threshold: what counts is that they rise
        ("block", 0.5, 0.4, 3.0, False, "dead"),
        ("attn", 0.5, 0.5, 3.0, False, "dead"),
        ("head", 5.0, 4.9, 4.9, False, "dead"),
        ("head", 0.01, 0.02, 0.02, False, "ok"),
        ("mlp_pre", 0.3, 0.2, 9.0, False, "dead"),
        ("q", None, 0.2, 0.2, False, "ok"),  # nothing to compare with
        ("mlp", 0.0, 1.0, 2.0, True, "failed"),
        ("block", 2.0, 1.0, 2.0, True, "failed"),  # failed comes before dead
        ("block", 0.0, NAN, 2.0, False, "failed"),
        ("mlp", 0.0, 1.0, INF, False, "failed"),
    ],
)
def test_status_by_kind_of_site(backbone, kind, before, mean, peak, failed, status) -> None:
    """The image in question is the second of three; the others are alive."""
    site = replace(backbone.site("blocks.0.mlp"), kind=kind)
    rank = torch.ones(3, dtype=torch.long)
    firing = Firing(torch.tensor([1.0, mean, 1.0]), torch.tensor([1.0, peak, 1.0]), None, rank, torch.ones(3))
    rows = describe(site, torch.rand(3, 3, 8, 8), [0.0, before, 0.0], firing, [False, failed, False])
    assert [row["status"] for row in rows] == ["ok", status, "ok"]
    assert bool(rows[1]["message"]) == (status != "ok")
    assert all(value is None or isinstance(value, str) or math.isfinite(value) for value in rows[1].values())


@pytest.mark.parametrize(
    ("unit", "status"), [("blocks.1.block:3", "dead"), ("head:3", "dead"), ("blocks.1.attn:1", "dead")]
)
def test_an_image_that_did_not_move_is_dead(fit, unit, status) -> None:
    _, _, rows = fit(unit, {"steps": 1, "optim": {"lr": 0.0}})
    assert [row["status"] for row in rows.values()] == [status]
