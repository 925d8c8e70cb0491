"""Latents in a search: what a short list says is what the whole table of codes would say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import encoder, write_saelens
from vitvis.backbones import Tap, load_backbone
from vitvis.config.core import merge
from vitvis.data.kinds import open_source
from vitvis.data.loader import ModelView, make_loader
from vitvis.search import SearchRun, engine, read_search
from vitvis.search.maps import open_maps, write_sparse
from vitvis.search.settings import SearchSettings

IMAGES, K, MODEL = 45, 6, "python:tests.tiny:rgb"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with objects, and a dictionary of which a few latents are never on."""
    folder = tmp_path_factory.mktemp("latents")
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / "photos" / name).mkdir(parents=True)
    for number in range(IMAGES):
        pixels = random.integers(0, 120, (32, 32, 3)) + random.integers(0, 130, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / "images" / f"{number:02}.png")
        mask = np.zeros((32, 32), np.uint8)
        mask[: random.integers(9, 24), : random.integers(9, 24)] = 255
        Image.fromarray(mask).save(folder / "photos" / "masks" / f"{number:02}.png")
    tensors = encoder()
    tensors["b_enc"][:3] = -100
    write_saelens(folder / "sae", tensors, architecture="topk", k=4)
    return folder


def run(place: Path, out: Path, units: list[str], **more: Any) -> SearchRun:
    settings = {"model": MODEL, "data": f"folder:{place}/photos", "units": units, "k": K, "sample": 40, "workers": 0,
                "batch_size": 7, "thumbs": "none", "out": str(out), "trainer": {"accelerator": "cpu"}}  # fmt: skip
    assert engine.search(merge(SearchSettings, settings, more)) is not None
    return read_search(out)


@pytest.fixture(scope="module")
def found(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchRun, np.ndarray, np.ndarray]:
    """A search for all latents beside some channels, all codes `[N, T, K]`, and each photo's mask."""
    site = f"blocks.1.block@{place}/sae"
    search = run(place, tmp_path_factory.mktemp("out") / "s", [f"{site}:*", "blocks.1.block:0-3"])
    backbone, source = load_backbone(MODEL), open_source(f"folder:{place}/photos")
    codes, masks = [], []
    with torch.inference_mode(), Tap(backbone, [site]) as tap:
        for batch in make_loader(source, ModelView(backbone.transform(), masks=True), batch_size=7):
            codes.append(tap(batch.images)[site])
            masks.append(batch.masks)
    return search, torch.cat(codes).numpy(), torch.cat([mask for mask in masks if mask is not None]).numpy()


def test_rankings_hold_photos_on_which_a_latent_is_on(found: tuple[SearchRun, np.ndarray, np.ndarray]) -> None:
    search, codes, _ = found
    patches = codes[:, 1:]
    rows = [record for record in search.records if record["kind"] == "latent"]
    assert len(rows) == codes.shape[2]
    for record in rows:
        own = patches[:, :, record["unit"]].mean(1)
        firing = np.flatnonzero(own)
        best = firing[np.argsort(-own[firing], kind="stable")][:K]
        assert record["strongest_index"] == best.tolist()
        np.testing.assert_allclose(record["strongest_activation"], own[best], rtol=1e-5)
        assert len(record["weakest_index"]) == K
        np.testing.assert_allclose(record["weakest_activation"], np.sort(own)[:K], rtol=1e-5)
        assert record["positive_share"] == pytest.approx((own > 0).mean())
        assert record["fire_share"] == pytest.approx((patches[:, :, record["unit"]] > 0).mean())
    assert [record["fire_share"] for record in rows[:3]] == [0, 0, 0]  # dead
    assert all(record["fire_share"] is None for record in search.records if record["kind"] == "block")


def test_weak_photos_differ_from_latent_to_latent(found: tuple[SearchRun, np.ndarray, np.ndarray]) -> None:
    rows = [
        record for record in found[0].records if record["kind"] == "latent" and not record["weakest_activation"][-1]
    ]
    assert len(rows) > 9
    assert len({tuple(sorted(record["weakest_index"])) for record in rows}) > len(rows) / 2


def test_maps_without_zeros_are_the_codes(found: tuple[SearchRun, np.ndarray, np.ndarray]) -> None:
    search, codes, _ = found
    for record in search.records:
        if record["kind"] != "latent":
            continue
        maps = search.unit_maps(record["address"])
        assert maps is not None and maps.shape == (K, 4, 4)
        for place, index in enumerate(record["strongest_index"]):
            wanted = codes[index, 1:, record["unit"]]
            np.testing.assert_allclose(maps[place].reshape(-1), wanted, rtol=2e-3, atol=1e-4)
            assert record["strongest_token"][place] == wanted.argmax()


def test_inside_and_outside_of_objects(found: tuple[SearchRun, np.ndarray, np.ndarray]) -> None:
    search, codes, masks = found
    shares = masks.reshape(len(masks), 4, 8, 4, 8).mean((2, 4)).reshape(len(masks), 16)
    record = max((row for row in search.records if row["kind"] == "latent"), key=lambda row: row["fire_share"])
    own = codes[:, 1:, record["unit"]]
    assert record["inside_mean"] == pytest.approx(np.mean((own * shares).sum(1) / shares.sum(1)), rel=1e-4)
    assert record["outside_mean"] == pytest.approx(np.mean((own * (1 - shares)).sum(1) / (1 - shares).sum(1)), rel=1e-4)


def test_some_latents_alone_read_the_same(
    place: Path, tmp_path: Path, found: tuple[SearchRun, np.ndarray, np.ndarray]
) -> None:
    site = f"blocks.1.block@{place}/sae"
    part = run(place, tmp_path / "s", [f"{site}:5,20", f"-{site}:5"], batch_size=11)
    for unit in (5, 20):
        for column in ("strongest_index", "strongest_activation", "fire_share", "mean", "std", "hist_counts"):
            assert part.record(f"{site}:{unit}")[column] == pytest.approx(found[0].record(f"{site}:{unit}")[column])
    assert part.record(f"-{site}:5")["mean"] == pytest.approx(-part.record(f"{site}:5")["mean"])


def test_another_dictionary_of_the_same_name_is_another_search(place: Path, tmp_path: Path) -> None:
    from vitvis.errors import VitvisError

    folder = write_saelens(tmp_path / "sae", encoder(seed=1), architecture="topk", k=4)
    run(place, tmp_path / "s", [f"blocks.1.block@{folder}:0-3"])
    write_saelens(tmp_path / "sae", encoder(seed=2), architecture="topk", k=4)
    with pytest.raises(VitvisError, match="dictionaries"):
        run(place, tmp_path / "s", [f"blocks.1.block@{folder}:0-3"])


def test_sparse_maps_come_back_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    maps = (random.random((5, 3, 2, 4)) * (random.random((5, 3, 2, 4)) < 0.2)).astype(np.float16)
    maps[1] = 0
    with (tmp_path / "maps.npz").open("wb") as file:
        write_sparse(file, maps)
    back = open_maps(tmp_path / "maps.npz")
    assert len(back) == 5 and all(np.array_equal(back[unit], maps[unit]) for unit in range(5))
