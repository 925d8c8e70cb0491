"""A plan knows what a run does and needs; `--dry-run` prints it, and measuring leaves no trace but in the cache."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch

from vitvis.backbones import parse_units
from vitvis.config.core import merge
from vitvis.errors import VitvisError
from vitvis.fit import ActivationMaximization, choose_chunk, main, memory, plan_chunks, remembered
from vitvis.fit.cost import clock, estimate, interpolate
from vitvis.fit.engine import run_fit
from vitvis.fit.memory import saved_bytes
from vitvis.fit.plan import make_plan
from vitvis.fit.settings import FitSettings
from vitvis.fit.timing import bare_steps
from vitvis.launch import machine
from vitvis.runs import read_records

SMALL = ["model=test_vit", "weights=none", "image_size=64", "steps=3", "copies=2", "trainer.accelerator=cpu"]
SMALL += ["trainer.progress=none", "logger.kind=none"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/vitvis/speed.json"


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys, cache) -> None:
    out = tmp_path / "run"
    assert main([*SMALL, "--dry-run", "units=blocks.{0,1}.mlp:0-4", "seeds=[0,1]", "chunk=4", f"out={out}"]) == 0
    text = capsys.readouterr().out
    assert "10 at 2 sites x 2 seeds = 20 images; 0 are there, 20 to make" in text
    assert "6 chunks of up to 4 images, 3 steps of 2 copies" in text
    assert "blocks.0.mlp" in text and "blocks.1.mlp" in text and "images/hour" in text and "disk" in text
    assert not out.exists()
    assert all(set(entry) == {"seconds"} for entry in json.loads(cache.read_text()).values())


def test_the_plan_is_what_the_run_does(tmp_path) -> None:
    argv = [*SMALL, "units=blocks.{0,1}.mlp:0-2", "chunk=2"]
    run_fit(merge(FitSettings, argv, ["units=blocks.0.mlp:0-1"], {"out": str(tmp_path / "run")}))
    settings = merge(FitSettings, argv, {"out": str(tmp_path / "run")})
    plan = make_plan(settings)
    cost = estimate(plan, setup=2.0)
    assert (cost.images, len(plan.done), len(plan.units)) == (4, 2, 6)
    assert [(site.name, site.images, site.chunks) for site in cost.sites] == [
        ("blocks.0.mlp", 1, 1),
        ("blocks.1.mlp", 3, 2),
    ]
    assert cost.seconds > 2.0 and cost.disk > 4 * 64 * 64
    fit = run_fit(settings)
    assert len(read_records(tmp_path / "run")) == 6 and fit.made == 4
    missing = {chunk.name for chunk in plan.missing()}
    assert missing <= {path.stem for path in (tmp_path / "run/records").glob("*.parquet")}
    assert make_plan(settings).missing() == []


def test_a_mistake_in_a_dry_run_is_one_line(tmp_path, capsys) -> None:
    assert main([*SMALL, "--dry-run", "units=blocks.9.mlp:0", f"out={tmp_path / 'run'}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_costs_between_timed_sites_lie_on_a_line() -> None:
    known = [(0, 1.0), (4, 3.0), (8, 11.0)]
    assert [interpolate(known, depth) for depth in (0, 2, 4, 6, 8, 9)] == pytest.approx([1, 2, 3, 7, 11, 11])
    assert (clock(42.2), clock(61), clock(3725)) == ("42 s", "1:01", "1:02:05")


def test_bare_steps_make_the_image_that_the_trainer_makes(fit, backbone) -> None:
    recipe = {"steps": 4, "copies": 2, "image": "pixel"}
    _, trained, _ = fit("blocks.1.mlp:2", recipe)
    chunks = plan_chunks(parse_units("blocks.1.mlp:2", backbone.sites), [0], backbone.sites, 1)
    module = ActivationMaximization(backbone, recipe)
    assert list(bare_steps(module, chunks[0])) == [1, 2, 3, 4]
    torch.testing.assert_close(module.images()[0], trained[("blocks.1.mlp:2", 0)], atol=1e-6, rtol=0)


def test_the_bytes_of_a_step_are_those_that_the_meta_device_keeps(backbone) -> None:
    """Nothing is measured on a device other than the model's: that is what every fit on several GPUs tripped over."""
    site = backbone.site("blocks.1.mlp")
    shapes = copy.deepcopy(backbone).to("meta")
    assert 1 <= saved_bytes(shapes, site) / saved_bytes(backbone, site) < 1.3  # there attention keeps its matrix
    assert choose_chunk(backbone, [site], FitSettings(), torch.device("meta")) == 8


def test_the_bytes_of_a_linear_layer_are_its_input(backbone) -> None:
    """By hand: a patch embedding keeps the normalised image (and its weight, which does not count)."""
    site = backbone.site("patch_embed.proj")
    assert saved_bytes(backbone, site) <= 3 * 32 * 32 * 4 * 2


def test_a_chunk_is_the_same_on_every_gpu_that_has_the_memory(backbone, monkeypatch) -> None:
    class Card:
        total_memory = 80 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    gpu, sites = torch.device("cuda", 0), [backbone.site("blocks.1.mlp")]
    each = saved_bytes(backbone, sites[0])
    assert choose_chunk(backbone, sites, FitSettings(copies=1), gpu) == 64
    copies = math.ceil(16 * 2**30 / each / 5)
    assert choose_chunk(backbone, sites, FitSettings(copies=copies), gpu) == 4
    Card.total_memory = 40 * 2**30
    assert choose_chunk(backbone, sites, FitSettings(copies=copies), gpu) == 4
    Card.total_memory = 16 * 2**30
    assert choose_chunk(backbone, sites, FitSettings(copies=copies), gpu) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["objective.tokens=99"], "token 99"),
        (["objective.tokens=[0,0,9,9]"], "does not fit"),
        (["augment.kornia.RandomGreyscale.p=1"], "RandomGrayscale"),
        (["regularize.extra.nothing=1"], "nothing"),
        (["image=phase", "image.magnitude=/nonexistent"], "/nonexistent"),
        (["image.start=/nonexistent.png"], "/nonexistent.png"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(arguments, words, tmp_path) -> None:
    asked = {"units": ["blocks.0.mlp:0-2"], "out": str(tmp_path / "run")}
    with pytest.raises(VitvisError) as caught:
        run_fit(merge(FitSettings, [*SMALL, *arguments], asked))
    assert words in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(("chunk", "words"), [(None, "copies=1000: a step"), (3, "chunk=3 and copies=1000: a step")])
def test_more_memory_than_there_is_is_refused_before_it_is_asked_for(tmp_path, monkeypatch, chunk, words) -> None:
    """64 px, float32: a copy and its gradient alone are 100 kB."""
    monkeypatch.setattr(memory, "machine_memory", lambda: 2**26)
    asked = {"units": ["blocks.0.mlp:0-2"], "out": str(tmp_path / "run"), "copies": 1000, "chunk": chunk}
    with pytest.raises(VitvisError, match=words):
        run_fit(merge(FitSettings, SMALL, asked))
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(memory, "machine_memory", lambda: None)  # a system that does not say
    assert make_plan(merge(FitSettings, SMALL, asked)).memory > 2**26


def test_what_no_machine_has_is_refused_before_the_model_is_run(tmp_path, monkeypatch) -> None:
    """From shapes alone: at 2048 px one forward pass would take minutes."""
    monkeypatch.setattr(memory, "machine_memory", lambda: 2**36)
    monkeypatch.setattr(memory, "saved_bytes", lambda *_: pytest.fail("the model was run"))
    asked = {"units": ["blocks.1.mlp:0"], "out": str(tmp_path / "run"), "image_size": 2048, "copies": 1000}
    with pytest.raises(VitvisError, match="copies=1000: a step needs about"):
        make_plan(merge(FitSettings, SMALL, asked))


def test_no_more_is_kept_than_counted(backbone) -> None:
    """What must be kept at least, by shapes: never more than what autograd keeps."""
    for depth in (0, 1):
        site = backbone.site(f"blocks.{depth}.mlp")
        assert memory.least_bytes(backbone, site) == (depth + 1) * 4 * 192 * 16
        assert memory.least_bytes(backbone, site) < saved_bytes(backbone, site)


def test_memory_is_the_machines_or_its_containers(tmp_path, monkeypatch) -> None:
    whole = machine.machine_memory()
    assert whole is None or 2**28 < whole < 2**50
    for content, limit in (("1073741824\n", 2**30), ("max\n", None), ("", None)):
        (tmp_path / "memory.max").write_text(content)
        monkeypatch.setattr(machine, "_LIMITS", (str(tmp_path / "memory.max"), str(tmp_path / "none")))
        assert machine.cgroup_limit() == limit
        assert machine.machine_memory() == (min(whole, limit) if limit else whole)


def test_more_images_than_the_disk_holds_are_refused(tmp_path, monkeypatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**20, 2**20, 20_000))
    settings = merge(FitSettings, SMALL, {"out": str(tmp_path / "run"), "units": ["blocks.0.mlp:0-2"]})
    with pytest.raises(VitvisError, match="3 images need about"):
        make_plan(settings)
    assert make_plan(merge(FitSettings, settings, {"units": ["blocks.0.mlp:0"]})).chunks


def test_files_that_decide_a_picture_count_by_what_they_hold(tmp_path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "c.png")
    asked = {"units": ["blocks.0.mlp:0"], "out": str(tmp_path / "run")}

    def plan(name: str):
        return make_plan(merge(FitSettings, SMALL, asked, {"image": {"start": str(tmp_path / name)}}))

    assert plan("a.png").recipe_hash == plan("b.png").recipe_hash != plan("c.png").recipe_hash
    run_fit(plan("a.png").settings)
    with pytest.raises(VitvisError, match="image.start was sha256"):
        run_fit(plan("c.png").settings)
    for folder, other in (("one", "a.png"), ("two", "b.png"), ("three", "c.png")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes((tmp_path / other).read_bytes())
    names = [
        make_plan(
            merge(FitSettings, SMALL, asked, {"image": {"kind": "phase", "magnitude": str(tmp_path / name)}})
        ).recipe_hash
        for name in ("one", "two", "three")
    ]
    assert names[0] == names[1] != names[2]


def test_precision_is_part_of_what_a_folder_is(tmp_path) -> None:
    settings = merge(FitSettings, SMALL, {"units": ["blocks.0.mlp:0"], "out": str(tmp_path / "run")})
    half = {"trainer": {"precision": "bf16-mixed"}}
    assert run_fit(merge(FitSettings, settings, half)).plan.precision == "bf16-mixed"
    with pytest.raises(VitvisError, match="precision was bf16-mixed, now 32-true"):
        run_fit(merge(FitSettings, settings, {"trainer": {"precision": "32-true"}}))
    assert run_fit(settings).plan.precision == "bf16-mixed"  # auto: the folder's
    elsewhere = merge(FitSettings, settings, {"out": None})
    assert make_plan(elsewhere).path != make_plan(merge(FitSettings, elsewhere, half)).path


def test_pictures_of_a_magnitude_are_read_once(tmp_path, monkeypatch) -> None:
    from PIL import Image

    from vitvis.fit.images import phase

    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    seen: list[object] = []
    read = phase.read_picture
    monkeypatch.setattr(phase, "read_picture", lambda *args: (seen.append(args), read(*args))[1])
    image = {"kind": "phase", "magnitude": str(tmp_path)}
    asked = {"units": ["blocks.{0,1}.mlp:0-1"], "chunk": 1, "out": str(tmp_path / "run"), "image": image}
    run_fit(merge(FitSettings, SMALL, asked))
    assert len(seen) == 1


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"key": 3}', None])
def test_a_broken_cache_is_no_cache(content, cache) -> None:
    if content is not None:
        cache.parent.mkdir(parents=True)
        cache.write_text(content)
    assert remembered.recall("key") is None
    remembered.remember("key", {"chunk": 5})
    remembered.remember("key", {"seconds": 0.5})
    assert remembered.recall("key") == {"chunk": 5, "seconds": 0.5}


def test_no_home_and_no_rights_are_no_errors(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # what it does for a user without a home
    assert remembered.cache_file() is None
    remembered.remember("key", {"chunk": 5})
    assert remembered.recall("key") is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # a file where the folder should be
    remembered.remember("key", {"chunk": 5})
    assert remembered.recall("key") is None
