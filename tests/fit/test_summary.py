"""The score of a run: what it rewards, and that its parts are told."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms.functional import gaussian_blur, to_tensor

from vitvis.backbones import Unit, load_backbone
from vitvis.errors import VitvisError
from vitvis.fit import run as fit
from vitvis.fit.measure import describe, hf_share, measure_firing
from vitvis.fit.regularizers import paper_tv
from vitvis.runs import RunFolder
from vitvis.runs.summary import (
    NOISE_HF,
    RunningSummary,
    clearness,
    contrast,
    dataset_best,
    selectivity,
    strength,
    summarize,
    unit_score,
)

GOOD = {"address": "blocks.0.mlp:1", "status": "ok", "activation": 2.0, "activation_start": 0.1, "rank": 1,
        "site_width": 768, "hf_share": 0.05, "seconds": 1.0}  # fmt: skip


def test_noise_has_no_clearness():
    """The share of white noise, in closed form, is that of a drawn image."""
    image = np.random.default_rng(0).standard_normal((256, 256))
    power = np.abs(np.fft.fft2(image)) ** 2
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    assert power[radius > 0.25].sum() / power.sum() == pytest.approx(NOISE_HF, abs=0.01)
    assert clearness(NOISE_HF) == pytest.approx(0) and clearness(0.03) == clearness(0.12) == 1


def test_twice_as_much_noise_counts_the_same_everywhere():
    drops = [clearness(share) - clearness(2 * share) for share in (0.12, 0.2, 0.4)]
    assert drops == pytest.approx([drops[0]] * 3) and drops[0] > 0.3


def test_a_flat_image_has_no_contrast_and_its_size_does_not_matter():
    assert contrast(0.0, 64, 64) == 0 and contrast(40.0, 64, 64) == 1
    assert contrast(4.0, 64, 64) == pytest.approx(2 * contrast(2.0, 64, 64))
    assert contrast(10.0, 32, 128) == pytest.approx(contrast(10.0, 64, 64))


def test_photos_are_clear_and_have_contrast(shared_dir):
    """Four in five lose little, at any size; with as much noise as signal, or a fifth of the contrast, most."""
    files = sorted((shared_dir / "data" / "coco128" / "images").glob("*.jpg"))[::4]
    for side in (64, 224):
        values, noisy, hazy = [], [], []
        for file in files:
            with Image.open(file) as image:
                photo = to_tensor(ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC))
            noise = photo.std() * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
            images = torch.stack([photo, photo + noise, 0.5 + 0.2 * (photo - 0.5)])
            products = [
                clearness(share) * contrast(tv, side, side)
                for share, tv in zip(hf_share(images).tolist(), paper_tv(images).tolist(), strict=True)
            ]
            for found, value in zip((values, noisy, hazy), products, strict=True):
                found.append(value)
        assert np.quantile(values, 0.2) > 0.8 and np.median(values) == 1, side
        assert np.quantile(noisy, 0.9) < 0.5 and np.quantile(hazy, 0.9) < 0.5, side


class Gauge:
    """Scores any picture for one unit of the bundled ViT, as a fit would, with a best photo of activation 1."""

    def __init__(self):
        self.backbone = load_backbone("vitvis_vit")
        self.site = self.backbone.site("blocks.3.mlp")
        self.unit = Unit(self.site.name, 3)

    def record(self, picture):
        """Return the measures of `picture` `[3, 64, 64]`."""
        images = picture[None].clamp(0, 1)
        firing = measure_firing(self.backbone, images, self.site, [self.unit])
        (row,) = describe(self.site, images, [0.0], firing, [False])
        return row | {"address": self.unit.address, "width": 64, "height": 64}

    def score(self, picture):
        """Return the score of `picture`."""
        return unit_score(self.record(picture), 1.0)


@pytest.fixture(scope="module")
def gauge():
    return Gauge()


@pytest.fixture(scope="module")
def pictures():
    """One unit's image by a recipe with a prior of photos, and by bare gradient ascent on pixels."""
    recipe = {
        "recipe": "activation",
        "units": ["blocks.3.mlp:3"],
        "steps": 40,
        "copies": 1,
        "trainer": {"threads": 1, "progress": "none"},
        "logger": {"kind": ["none"]},
    }
    bare = {"image": {"kind": "pixel"}, "optim": {"lr": 0.1}, "augment": {"affine": None, "noise": None}}
    found = {}
    with TemporaryDirectory() as folder:
        for name, more in (("natural", {"regularize": {"tv": 0.0256}}), ("bare", bare)):
            (record,) = fit({**recipe, **more, "out": f"{folder}/{name}"})
            with Image.open(Path(folder, name, record["image"])) as image:
                found[name] = to_tensor(image.convert("RGB"))
    return found


def test_adversarial_noise_scores_below_a_natural_looking_image(gauge, pictures):
    """It excites its unit more, and is about its unit as much."""
    natural, bare = gauge.record(pictures["natural"]), gauge.record(pictures["bare"])
    assert bare["activation"] > natural["activation"] > 1 and bare["rank"] <= natural["rank"] + 1
    assert unit_score(bare, 1.0) < 0.7 * unit_score(natural, 1.0)


def test_noise_on_a_picture_lowers_its_score(gauge, pictures):
    noise = torch.randn((3, 64, 64), generator=torch.Generator().manual_seed(0))
    scores = [gauge.score(pictures["natural"] + level * noise) for level in (0.0, 0.1, 0.2, 0.4)]
    assert scores == sorted(scores, reverse=True) and scores[-1] < 0.6 * scores[0]


def test_blur_lowers_a_score_until_the_unit_is_asleep(gauge, pictures):
    """A breath of it only takes noise away; then the feature itself goes."""
    sharp, *records = [
        gauge.record(gaussian_blur(pictures["natural"], 11, sigma)) for sigma in (0.01, 0.6, 1.0, 1.5, 2.0)
    ]
    scores = [unit_score(record, 1.0) for record in records]
    assert unit_score(sharp, 1.0) > 0.4 and scores[0] > unit_score(sharp, 1.0)
    assert scores == sorted(scores, reverse=True) and scores[-1] < 0.1 * scores[0]
    assert records[-1]["activation"] < 0.4 * sharp["activation"]


def test_more_activation_than_the_best_photo_is_not_better():
    assert strength(3.0, best=1.5) == strength(1.5, best=1.5) == 1 and strength(0.75, best=1.5) == 0.5
    noise = GOOD | {"activation": 20.0, "hf_share": 0.6}
    assert unit_score(noise, 1.0) < unit_score(GOOD | {"activation": 1.0}, 1.0)


@given(st.integers(2, 4096), st.integers(1, 4095))
def test_selectivity_falls_with_rank(width, rank):
    assert selectivity(1, width) == 1 and selectivity(width, width) == pytest.approx(0, abs=1e-9)
    assert selectivity(rank + 1, width) <= selectivity(rank, width)


@given(st.floats(-5, 50), st.floats(-1, 5), st.none() | st.floats(0.01, 9), st.integers(1, 768), st.floats(0, 1))
def test_a_score_is_a_share_and_never_falls_with_activation(activation, start, best, rank, hf):
    record = GOOD | {"activation": activation, "activation_start": start, "rank": rank, "hf_share": hf}
    assert 0 <= unit_score(record, best) <= unit_score(record | {"activation": activation + 1}, best) <= 1


def test_a_dead_unit_counts_zero_and_stays_in_the_mean():
    dead = GOOD | {"status": "dead", "activation": 0.0}
    broken = GOOD | {"status": "failed", "activation": math.nan, "hf_share": None, "rank": None}
    best = {GOOD["address"]: 1.0}
    assert summarize([GOOD, dead], best)["score"] == pytest.approx(unit_score(GOOD, 1.0) / 2)
    summary = summarize([GOOD, dead, broken, GOOD], best)
    assert (summary["dead_share"], summary["failed_share"], summary["units"]) == (0.25, 0.25, 4)
    assert summary["relative_activation"] == 2.0 and summary["activation"] == 2.0
    assert all(math.isfinite(value) for value in summary.values())


def test_a_summary_grows_record_by_record_and_each_costs_the_same():
    """Against means and medians of whole lists; parts that are unknown are left out of both."""
    draw = np.random.default_rng(0)
    records = [
        {"address": f"b:{i}", "status": str(draw.choice(["ok", "ok", "dead", "failed"])), "site_width": 64,
         "activation": float(draw.normal()), "activation_start": 0.1, "rank": int(draw.integers(64)) + 1,
         "hf_share": float(draw.random()) if i % 3 else None, "tv": 9.0 * i, "width": 64, "height": 64, "seconds": 0.5}
        for i in range(41)
    ]  # fmt: skip
    best = {f"b:{i}": 1.0 + i for i in range(0, 41, 2)}
    running, calls = RunningSummary(best), []
    for count, record in enumerate(records, start=1):
        values = running.add([record]).values()
        alive = [row for row in records[:count] if row["status"] == "ok"]
        assert values["units"] == count and values["seconds"] == pytest.approx(0.5 * count)
        scores = [unit_score(row, best.get(row["address"])) for row in records[:count]]
        assert values["score"] == pytest.approx(np.mean(scores))
        if alive:
            assert values["rank"] == np.median([row["rank"] for row in alive])
            assert values["activation"] == pytest.approx(np.mean([row["activation"] for row in alive]))
            shares = [row["hf_share"] for row in alive if row["hf_share"] is not None]
            assert values.get("hf_share") == (pytest.approx(np.mean(shares)) if shares else None)
            relative = [row["activation"] / best[row["address"]] for row in alive if row["address"] in best]
            assert values.get("relative_activation") == (pytest.approx(np.median(relative)) if relative else None)
    assert values == pytest.approx(summarize(records, best))

    class Counted(dict):
        def get(self, key, default=None):
            calls.append(key)
            return super().get(key, default)

    costs = []
    for record in records[:1] * 3:
        calls.clear()
        running.add([Counted(record)]).values()
        costs.append(len(calls))
    assert costs[0] == costs[1] == costs[2] > 0  # nothing is asked of the records before


def test_an_empty_run_has_a_score():
    assert summarize([])["score"] == 0


def test_best_comes_from_a_search_run(tmp_path):
    record = {"address": "b:1", "strongest_activation": [3.0, 2.0], "weakest_activation": [-0.5, -0.2]}
    with RunFolder.open(tmp_path / "s", kind="search", settings={}, identity={}) as folder:
        folder.write_shard("0", [record])
    assert dataset_best(tmp_path / "s") == {"b:1": 3.0, "-b:1": 0.5}
    with RunFolder.open(tmp_path / "f", kind="fit", settings={}, identity={}):
        pass
    with pytest.raises(VitvisError, match="no folder of vitvis.search"):
        dataset_best(tmp_path / "f")
