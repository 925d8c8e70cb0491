"""fit, search, concepts and atlas with a language model, through the commands; numbers against open_clip's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.concepts.conftest import TinyClip
from tests.tiny import write_saelens
from vitvis import concepts, fit, search
from vitvis.errors import run_main
from vitvis.runs import read_png_text, read_records

QUIET = ["trainer.accelerator=cpu", "trainer.progress=none"]
SEARCH = [*QUIET, "k=6", "sample=0", "workers=0", "strips=none", "maps=false", "thumbs=strongest"]
WORDS = ["dog", "cat", "music", "concert hall", "before and after", "stripes"]
TEMPLATES = ("{}", "a photo of {}", "a picture of something that is {}")  # as docs/concepts.md says


def rows_of(run: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(run / "concepts" / "concepts.parquet").read().to_pylist()


def centred(features: np.ndarray) -> np.ndarray:
    features = features - features.mean(0)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("typed", "units"),
    [
        ("""units='text:"a photo of a concert hall"'""", ['text:"a photo of a concert hall"']),
        ("""units='text:"a dog, at night"*0.7+"a beach"*-0.3'""", ['text:"a dog, at night"*0.7+"a beach"*-0.3']),
        ("""units='[text:"music", image:photo.jpg, head:3]'""", ['text:"music"', "image:photo.jpg", "head:3"]),
        ('''"units=-text:'it is: new'"''', ["-text:'it is: new'"]),
    ],
)
def test_prompts_survive_a_shell(typed: str, units: list[str], root: Path) -> None:
    command = f"{sys.executable} -m vitvis.fit model=open_clip:ViT-B-32 {typed} --print-config"
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["units"] == units


def test_images_for_prompts_and_pictures(
    clip: TinyClip, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a record calls its activation is the cosine of open_clip's own embeddings."""
    caplog.clear()
    photo, out = photos / "03.png", tmp_path / "run"
    units = ['text:"a photo of a concert hall"', 'text:"a dog"*0.7+"a beach"*-0.3', f"image:{photo}", '-text:"music"']
    plain = ["image.kind=pixel", "augment.affine=null", "augment.noise=null", "optim.lr=0.02", "steps=12", "copies=1"]
    assert fit.main([*clip.words, *QUIET, f"units=[{','.join(units)}]", *plain, f"out={out}"]) == 0
    assert "randomly" not in caplog.text  # as open_clip says before a file is loaded
    hall, dog, beach, music = clip.text("a photo of a concert hall", "a dog", "a beach", "music")
    mixed = 0.7 * dog - 0.3 * beach
    targets = dict(zip(units, (hall, mixed / mixed.norm(), clip.pictures(photo)[0], -music), strict=True))
    records = {row["address"]: row for row in read_records(out)}
    assert set(records) == set(units)
    for unit, row in records.items():
        wanted = float(clip.pictures(out / row["image"])[0] @ targets[unit])
        assert row["activation"] == pytest.approx(wanted, abs=0.02)  # the PNG has 8 bits
        assert row["activation"] > row["activation_start"] and row["site"] == "head"
        assert read_png_text(out / row["image"])["unit"] == unit


def run_search(model: list[str], photos: Path, out: Path) -> Path:
    words = [*model, *SEARCH, f"data=folder:{photos}", "units=blocks.1.mlp:0-9", "batch_size=8", f"out={out}"]
    assert run_main(search.main, words) == 0
    return out


@pytest.fixture(scope="module")
def runs(clip: TinyClip, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A search of the language model and one of a supervised ViT on the same photos, and a fit of the former."""
    out = tmp_path_factory.mktemp("runs")
    (out / "words.txt").write_text("# six\n" + "\n".join(WORDS))
    run_search(clip.words, photos, out / "clip")
    run_search(["model=vitvis_vit"], photos, out / "vit")
    words = [*clip.words, *QUIET, "units=blocks.1.mlp:0-3", "steps=2", "copies=1", f"out={out / 'fit'}"]
    assert fit.main(words) == 0
    return {name: out / name for name in ("clip", "vit", "fit", "words.txt")}


def test_words_of_photos_and_images_follow_from_open_clip(clip: TinyClip, runs: dict[str, Path]) -> None:
    """`fit=RUN`: the mean of the cosines with the photos' direction and with the optimised image."""
    common = [f"run={runs['clip']}", f"vocabulary={runs['words.txt']}", "k=6", "words=6"]
    assert concepts.main([*common, f"fit={runs['fit']}"]) == 0
    rows = {row["address"]: row for row in rows_of(runs["clip"])}
    table = sum(clip.text(*(template.format(word) for word in WORDS)).numpy() for template in TEMPLATES)
    table = centred(table / np.linalg.norm(table, axis=1, keepdims=True))
    searched = {row["address"]: row["strongest_index"][:6] for row in read_records(runs["clip"])}
    used = sorted({index for indices in searched.values() for index in indices})
    photos = centred(clip.pictures(*(runs["clip"] / "thumbs" / f"{index}.jpg" for index in used)).numpy())
    fitted = {row["address"]: runs["fit"] / row["image"] for row in read_records(runs["fit"])}
    images = dict(zip(fitted, centred(clip.pictures(*fitted.values()).numpy()), strict=True))
    for address, indices in searched.items():
        vector = photos[[used.index(index) for index in indices]].sum(0)
        cosines = [table @ (vector / np.linalg.norm(vector))]
        cosines += [table @ images[address]] if address in images else []
        wanted = np.mean(cosines, axis=0)
        order = np.argsort(-wanted)
        np.testing.assert_allclose(rows[address]["similarities"], wanted[order], atol=2e-3)
        assert set(rows[address]["words"]) == set(WORDS)
        if wanted[order[0]] - wanted[order[1]] > 5e-3:
            assert rows[address]["words"][0] == WORDS[order[0]]
    assert len(images) == 4
    assert concepts.main(common) == 0  # without the images, words of units 4-9 are the same
    alone = {row["address"]: row["similarities"] for row in rows_of(runs["clip"])}
    assert [address for address in alone if alone[address] != rows[address]["similarities"]] == list(images)


def test_several_runs_share_one_table_and_both_spaces(
    clip: TinyClip, runs: dict[str, Path], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "other.txt").write_text("\n".join(reversed(WORDS)))
    words = [f"vocabulary={tmp_path / 'other.txt'}", "k=6"]
    assert concepts.main([f"run=[{runs['clip']},{runs['vit']}]", *words]) == 0
    assert caplog.text.count("embedding 6 words") == 1
    shown = capsys.readouterr().out
    assert "its own embedding" in shown
    assert [line.split()[0] for line in shown.splitlines()[1:3]] == [clip.name, "vitvis_vit"]
    told = {name: json.loads((runs[name] / "concepts/concepts.json").read_text()) for name in ("clip", "vit")}
    assert told["clip"]["language"] == told["vit"]["language"] and told["clip"]["look"] == told["vit"]["look"]
    assert told["vit"]["language"]["name"] == clip.name and told["vit"]["look"]["name"] == "vitvis_vit"
    together = rows_of(runs["vit"])
    assert concepts.main([f"run=[{runs['clip']},{runs['vit']}]", *words, f"fit={runs['fit']}"]) == 0
    assert rows_of(runs["vit"]) == together  # the images are of another model's units with the same addresses
    assert concepts.main([f"run={runs['vit']}", *words, f"language={clip.name}", f"language_weights={clip.file}"]) == 0
    assert rows_of(runs["vit"]) == together


def test_the_default_look_is_the_mean_patch_of_the_bundled_vit(runs: dict[str, Path]) -> None:
    from vitvis.backbones import load_backbone
    from vitvis.concepts.embed import embed_pictures
    from vitvis.concepts.spaces import BackboneLook

    vit = load_backbone("vitvis_vit")
    files = {path.stem: path for path in sorted((runs["vit"] / "thumbs").glob("*.jpg"))[:3]}
    assert BackboneLook(vit).site == "blocks.11.block"
    found = embed_pictures(vit, files, runs["vit"] / "concepts" / "other", site="blocks.11.block")
    from PIL import Image

    images = torch.stack([vit.transform()(Image.open(path)) for path in files.values()])
    with torch.no_grad():
        model: Any = vit.model
        last = model.forward_intermediates(
            vit.normalize(images), indices=1, output_fmt="NLC", intermediates_only=True, norm=False
        )[0]
    wanted = torch.nn.functional.normalize(last.mean(1), dim=-1)
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=1e-5, rtol=1e-4)


def test_words_reach_the_atlas(runs: dict[str, Path], tmp_path: Path) -> None:
    from vitvis import atlas

    assert concepts.main([f"run={runs['clip']}", f"vocabulary={runs['words.txt']}", "k=6", "words=2"]) == 0
    assert run_main(atlas.main, [f"runs={runs['clip']}", f"out={tmp_path / 'atlas'}"]) == 0
    data = "".join(path.read_text() for path in (tmp_path / "atlas").rglob("*.js"))
    best = rows_of(runs["clip"])[0]["words"][0]
    assert '"words"' in data and best in data


def test_a_fit_alone_has_words_and_no_score(runs: dict[str, Path]) -> None:
    assert concepts.main([f"run={runs['fit']}", f"vocabulary={runs['words.txt']}"]) == 0
    rows = rows_of(runs["fit"])
    assert len(rows) == 4 and all(row["words"] and row["score"] is None and row["photos"] == 0 for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run=vit", "say which language model reads"),
        ("run=clip language=vitvis_vit", "no text tower"),
        ("run=clip vocabulary=nothing.txt", "vocabulary=nothing.txt"),
        ("run=clip look=vitvis_vot", "did you mean 'vitvis_vit'"),
        ("run=clip language=open_clip:vitvis-tny language_weights=none", "did you mean 'vitvis-tiny'"),
        ("run=clip fit=vit", "is a run of search; give a run of vitvis.fit"),
        (
            "run=vit fit=fit language=open_clip:vitvis-tiny language_weights=none",
            "none of the searches is of that model",
        ),
        ("run=clip language_weights=other", "not the weights of the run's own"),
        ("run=bare", "thumbs=strongest"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weights=none.*")
def test_wrong_commands_are_one_line_and_leave_nothing(
    words: str, said: str, clip: TinyClip, photos: Path, runs: dict[str, Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if "bare" in words:
        run_search([*clip.words, "thumbs=strongest"], photos, tmp_path / "bare")
        for thumb in (tmp_path / "bare/thumbs").iterdir():
            thumb.unlink()
    places = {**runs, "bare": tmp_path / "bare", "other": tmp_path / "other.pt"}
    if "other" in words:
        torch.save({name: value + 0.01 for name, value in clip.model.state_dict().items()}, places["other"])
    argv = [
        f"{key}={places.get(value, value) if key in ('run', 'fit', 'language_weights') else value}"
        for key, _, value in (word.partition("=") for word in words.split())
    ]
    capsys.readouterr()
    assert concepts.main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error


def test_without_open_clip_one_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    argv = ["model=open_clip:ViT-B-32", "weights=none", "units=text:dog", f"out={tmp_path / 'run'}"]
    assert fit.main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'vitvis[clip]'" in error and not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"no weights", b""])
def test_a_wrong_weights_file_is_one_line(
    content: bytes, clip: TinyClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.pt").write_bytes(content)
    argv = [clip.words[0], f"weights={tmp_path / 'wrong.pt'}", "units=text:dog", f"out={tmp_path / 'run'}"]
    assert fit.main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "wrong.pt" in error and not (tmp_path / "run").exists()


def test_weights_of_another_model_are_one_line(
    clip: TinyClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"visual.proj": torch.zeros(3, 3)}, tmp_path / "other.pt")
    argv = [clip.words[0], f"weights={tmp_path / 'other.pt'}", "units=text:dog", f"out={tmp_path / 'run'}"]
    assert fit.main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "do not fit" in error


def test_latents_have_words_and_scores_as_channels_do(
    clip: TinyClip, photos: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    """A latent with the weights of a channel, on everywhere, is that channel; one that is never on has none."""
    weight, bias = torch.zeros(32, 4), torch.tensor([1e3, 1e3, 1e3, -1e6])
    weight[[3, 7, 11], [0, 1, 2]] = 1  # shifted so far up that it is on everywhere
    own = {"W_enc": weight, "b_enc": bias, "W_dec": weight.T.contiguous(), "b_dec": torch.zeros(32)}
    write_saelens(tmp_path / "sae", own)
    units = f"units=[blocks.1.block@{tmp_path / 'sae'}:*,'blocks.1.block:3,7,11']"
    words = [*clip.words, *SEARCH, f"data=folder:{photos}", units, "batch_size=8", f"out={tmp_path / 'search'}"]
    assert run_main(search.main, words) == 0
    assert concepts.main([f"run={tmp_path / 'search'}", f"vocabulary={runs['words.txt']}", "k=6", "words=6"]) == 0
    rows = rows_of(tmp_path / "search")
    latents = [row for row in rows if row["kind"] == "latent"]
    channels = [row for row in rows if row["kind"] == "block"]
    assert [row["unit"] for row in latents] == [0, 1, 2, 3] and len(channels) == 3
    for latent, channel in zip(latents, channels, strict=False):
        assert latent["photos"] == 6 and latent["words"] == channel["words"]
        assert latent["score"] == pytest.approx(channel["score"], abs=1e-3)
    assert latents[3]["words"] == [] and latents[3]["score"] is None and latents[3]["photos"] == 0
