"""Latents in a fit: what is maximised, measured and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tiny import encoder, write_saelens
from vitvis import fit
from vitvis.backbones import Tap, load_backbone, parse_units, select_tokens
from vitvis.config.core import merge
from vitvis.errors import VitvisError, run_main
from vitvis.fit.measure import measure_firing
from vitvis.fit.objective import Objective
from vitvis.fit.settings import FitSettings
from vitvis.runs import read_manifest, read_records

MODEL = "python:tests.tiny:rgb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = encoder()
    tensors["b_enc"][0] = -3.0  # hardly ever on
    return write_saelens(tmp_path_factory.mktemp("sae"), tensors, architecture="topk", k=4)


def test_objective_is_the_code_and_its_preactivation_where_it_is_off(folder: Path) -> None:
    backbone = load_backbone(MODEL)
    units = parse_units(f"blocks.1.block@{folder}:0,7,9", backbone.sites)
    site = backbone.site(units[0].site)
    settings = merge(FitSettings, {"objective": {"pre": 0.5}}).objective
    objective = Objective(site, units, backbone.sites, settings)
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))  # three units, two copies each
    with torch.no_grad(), Tap(backbone, [objective.site_at(0.0)]) as tap:
        activations = tap(images)[site.name]
    dictionary = site.dictionary
    assert dictionary is not None
    before = select_tokens(dictionary.before(activations), site, "patches")
    codes = select_tokens(dictionary.encode(activations), site, "patches")
    for image, unit in enumerate((0, 0, 7, 7, 9, 9)):
        early, late = (objective.values(activations, progress).flatten(0, 1)[image] for progress in (0.1, 0.9))
        torch.testing.assert_close(early, before[image, :, unit], atol=1e-5, rtol=1e-5)
        off = not bool(codes[image, :, unit].any())
        torch.testing.assert_close(late, (before if off else codes)[image, :, unit], atol=1e-5, rtol=1e-5)
    assert not codes[:2, :, 0].any()  # one was off


def test_rank_is_among_latents(folder: Path) -> None:
    backbone = load_backbone(MODEL)
    units = parse_units(f"blocks.1.block@{folder}:7,9", backbone.sites)
    site = backbone.site(units[0].site)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = measure_firing(backbone, images, site, units)
    with torch.no_grad(), Tap(backbone, [site]) as tap:
        means = tap(images)[site.name][:, 1:].mean(1)
    for image, unit in enumerate((7, 9)):
        assert found.mean[image] == pytest.approx(float(means[image, unit]), rel=1e-5)
        assert found.rank[image] == 1 + int((means[image] > means[image, unit]).sum())


def test_a_run_of_latents(folder: Path, tmp_path: Path) -> None:
    site = f"blocks.1.block@{folder}"
    settings = {"model": MODEL, "units": [f"{site}:7,9"], "steps": 6, "copies": 2,
                "trainer": {"accelerator": "cpu"}}  # fmt: skip
    fit.run(settings, out=str(tmp_path / "two"))
    fit.run(settings, out=str(tmp_path / "one"), units=[f"{site}:9"])
    rows = {row["address"]: row for row in read_records(tmp_path / "two")}
    assert rows[f"{site}:7"]["site_width"] == 60 and rows[f"{site}:7"]["kind"] == "latent"
    assert "@" in rows[f"{site}:7"]["image"] and str(folder) not in rows[f"{site}:7"]["image"]
    from PIL import Image, ImageChops

    alone = read_records(tmp_path / "one")[0]
    assert alone["activation"] == pytest.approx(rows[f"{site}:9"]["activation"], rel=1e-4)
    pictures = [Image.open(run / row["image"]) for run, row in
                ((tmp_path / "one", alone), (tmp_path / "two", rows[f"{site}:9"]))]  # fmt: skip
    assert max(high for _, high in ImageChops.difference(*pictures).getextrema()) <= 1  # contract 1
    assert read_manifest(tmp_path / "two")["backbone"]["sites"][0]["dictionary"]
    write_saelens(folder, encoder(seed=3), architecture="topk", k=4)  # another file under the same name
    with pytest.raises(VitvisError, match="has changed"):
        fit.run(settings, out=str(tmp_path / "two"), units=[f"{site}:11"])


def test_a_cosine_of_latents_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        f"model={MODEL}",
        f"units=blocks.1.block@{folder}:7",
        "objective.measure=cosine",
        f"out={tmp_path / 'out'}",
    ]
    assert run_main(fit.main, words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "latents" in error and not (tmp_path / "out").exists()
