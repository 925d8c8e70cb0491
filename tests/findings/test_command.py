"""The command: settings files, the page, what is done twice, and a quick run of everything on made photos."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from vitvis.cli import find_command
from vitvis.concepts.settings import ConceptsSettings
from vitvis.config.core import merge
from vitvis.evaluate.settings import EvaluateSettings
from vitvis.findings import COMMAND, main
from vitvis.findings import run as findings
from vitvis.findings.page import read_texts
from vitvis.findings.settings import STATEMENTS, FindingsSettings
from vitvis.fit.settings import FitSettings
from vitvis.search.settings import SearchSettings

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs" / "findings"
SCHEMAS = {"fit": FitSettings, "search": SearchSettings, "evaluate": EvaluateSettings, "concepts": ConceptsSettings,
           "findings": FindingsSettings}  # fmt: skip
KIND = {"background": "evaluate", "lowpass": "evaluate", "tokens": "evaluate", "search": "search",
        "search-cnn": "search", "clip-search": "search", "quick": "findings", "article": "findings",
        "hiera": "findings"}  # fmt: skip
INTRO = (ROOT / "vitvis" / "findings" / "intro.md").read_text(encoding="utf-8")
COMMANDS = [command for text in read_texts().values() for command in text["commands"]]
COMMANDS += INTRO.partition("```bash\n")[2].partition("```")[0].splitlines()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_settings_file_is_read_by_the_real_parser_and_says_its_command(path: Path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    schema = SCHEMAS[KIND.get(path.stem, "fit")]
    assert merge(schema, path) != schema()
    (line,) = [line[2:] for line in path.read_text().splitlines() if line.startswith(("# python -m", "# `python -m"))]
    if "--quick" not in line:
        command = shlex.split(line)
        assert f"--config configs/findings/{path.name}" in line and command[2] == f"vitvis.{KIND.get(path.stem, 'fit')}"
        find_command(command[2].removeprefix("vitvis.")).read(command[3:])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_read_by_the_real_parser(command: str, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    find_command(words[2].removeprefix("vitvis.")).read(words[3:])


def test_every_statement_has_its_words() -> None:
    texts = read_texts()
    assert tuple(texts) == STATEMENTS
    assert all(set(text) == {"title", "claim", "commands", "method", "limits", "pictures"} for text in texts.values())


def test_the_files_name_the_units_that_the_command_works_on() -> None:
    """For the bundled models: patterns in the files and sites found in the models come to the same units."""
    from vitvis.backbones import parse_units
    from vitvis.findings.bench import KINDS, Bench

    bench = Bench(FindingsSettings())
    kinds = [site for kind in KINDS for site in bench.kinds[kind]]
    everything = [*bench.sites("model"), *(site for site in kinds if site.kind != "mlp")]
    asked = {
        "kinds": ("model", bench.addresses(kinds, 8)),
        "kinds-paper": ("model", bench.addresses(kinds, 4)),
        "depth": ("model", bench.addresses(bench.sites("model"), 8)),
        "depth-cnn": ("cnn", bench.addresses(bench.sites("cnn"), 8)),
        "search": ("model", [text for count in (8, 64) for text in bench.addresses(everything, count)]),
        "search-cnn": ("cnn", [text for count in (8, 64) for text in bench.addresses(bench.sites("cnn"), count)]),
    }
    for name, (role, addresses) in asked.items():
        settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        backbone = bench.backbone(role)
        assert settings["model"] == backbone.name
        wanted = {unit.address for unit in parse_units(settings["units"], backbone.sites)}
        assert {unit.address for unit in parse_units(addresses, backbone.sites)} == wanted, name


def test_a_run_is_judged_once_until_it_has_more_pictures(monkeypatch, tmp_path: Path) -> None:
    import vitvis.judge
    from vitvis.findings.bench import Bench

    bench, asked, made = Bench(FindingsSettings(out=str(tmp_path))), [], iter([3, 0, 2])
    monkeypatch.setattr(bench, "search", lambda role: SimpleNamespace(path=tmp_path))
    monkeypatch.setattr(
        "vitvis.fit.engine.run_fit",
        lambda settings: SimpleNamespace(made=next(made), plan=SimpleNamespace(units=[]), records=[]),
    )

    def judge(run: list[str], **settings: object) -> list[SimpleNamespace]:
        asked.append(Path(run[0]).name)
        return [SimpleNamespace(rows=[{"address": f"answer {len(asked)}"}])]

    monkeypatch.setattr(vitvis.judge, "run", judge)
    for answer in ("answer 1", "answer 1", "answer 2"):  # nothing is made the second time
        bench.fit("depth", "model", ["blocks.*.mlp:0"], "fit-model", {})
        assert [bench.judged("model", "fit-model")[0]["address"] for _ in range(2)] == [answer, answer]
    bench.judged("cnn", "fit-cnn")
    assert asked == ["fit-model", "fit-model", "fit-cnn"]


def test_quick_lies_below_what_is_typed() -> None:
    settings, options = COMMAND.read(["units=3", "--quick"])
    assert (settings.units, settings.limit, settings.fit["steps"]) == (3, 64, 4)
    assert options == {"--quick": ""} and COMMAND.read(["k=5"])[1] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["only=[kind]"], "did you mean 'kinds'"),
        (["notes=nowhere.yaml"], "nowhere.yaml"),
        (["page=../mine"], "page=../mine"),
        ([f"page={'x' * 300}"], "1 to 50 letters"),
        (["modle=x"], "'model'"),
        (["model=vit_bose_patch16_224"], "'vit_base_patch16_224'"),
        (["cnn=resnet5O"], "'resnet50'"),
        (["clip=open_clip:tiny-for-findingz"], "no model 'tiny-for-findingz' in open_clip"),
        (["boxes=foo:/x"], "boxes=foo:/x"),
        (["paper.image=3"], "no image parameterisation is called '3'"),
        (["fit.augment.kornia.RandomGrayscale.p=2"], "a chance is 0 to 1"),
        (["only=[depth]", "data=parquet:nowhere.parquet"], "nowhere.parquet"),
        (["only=[kinds]", "model=vitvis_resnet"], "kind mlp"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, tmp_path: Path, capsys) -> None:
    assert main(["--quick", *arguments, f"out={tmp_path / 'out'}", "trainer.progress=none"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(error) == 1 and words in error[0], error
    assert not (tmp_path / "out").exists()


def test_photos_without_classes_are_refused(tmp_path: Path, capsys) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    assert main([f"data=folder:{tmp_path}", f"out={tmp_path / 'out'}"]) == 2
    assert "has no classes" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_without_photos_the_page_says_what_was_not_run(tmp_path: Path, capsys) -> None:
    assert main([f"out={tmp_path}", "only=[depth,tokens]"]) == 0
    page = (tmp_path / "findings.md").read_text()
    assert page.count("not run: needs photos") == 4 and "kinds" not in page.split("\n## ")[1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-eight made photos of 64 px in three classes: a bright square somewhere on stripes, and its box."""
    draw, rows = np.random.default_rng(0), []
    for number in range(48):
        label, size = number % 3, int(draw.integers(20, 40))
        top, left = (int(draw.integers(0, 64 - size)) for _ in range(2))
        pixels = (90 + 60 * np.sin(np.arange(64) * draw.uniform(0.2, 1.5)))[None, :, None] * np.ones((64, 1, 3))
        pixels[top : top + size, left : left + size] = 0
        pixels[top : top + size, left : left + size, label] = 230
        pixels += draw.normal(0, 8, pixels.shape)
        buffer = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
        rows.append({"image": buffer.getvalue(), "label": label, "file": f"{number}.png",
                     "xmin": left, "ymin": top,
                     "xmax": left + size - 1, "ymax": top + size - 1})  # fmt: skip
    folder = tmp_path_factory.mktemp("photos")
    table = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(table), folder / "val.parquet")
    return folder / "val.parquet"


@pytest.mark.slow
def test_a_quick_run_measures_every_statement_and_is_not_done_twice(photos: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "docs"
    notes = tmp_path / "notes.yaml"
    notes.write_text("page: A tiny trial.\nkinds: Stripes, for the most part.\n")
    words = ["units=1", "more=2", "photos=1", "limit=24", "bootstrap=50", "fit.steps=2", "paper.steps=2",
             "evaluate.labels=same", "trainer.accelerator=cpu", "trainer.workers=0", "trainer.progress=none",
             f"data=parquet:{photos}", f"publish={page}", "page=trial",
             f"notes={notes}", "only=kinds,depth,agreement,background,lowpass,tokens"]  # fmt: skip
    settings = COMMAND.read(["--quick", *words, f"out={out}"])[0]
    found = {finding.name: finding for finding in findings(settings)}
    assert list(found) == ["kinds", "depth", "agreement", "background", "lowpass", "tokens"]
    assert all(finding.status == "measured" and finding.verdict and finding.pictures for finding in found.values())

    text = (page / "trial.md").read_text()
    pictures = {path.name for path in (page / "images").iterdir()}
    assert {f"trial-kinds-{name}" for name in ("default.jpg", "paper.jpg", "chart.png")} <= pictures
    assert all(f"(images/{name})" in text for name in pictures) and "Stripes, for the most part." in text
    assert text.count("A tiny trial.") == 1 and text.index("A tiny trial.") < text.index("## ")
    assert str(tmp_path) not in text  # no path of this machine
    numbers = json.loads((out / "findings.json").read_text())["findings"]
    hf = numbers["kinds"]["numbers"]["paper/q"]["hf"]
    assert 0 <= hf["low"] <= hf["value"] <= hf["high"] <= 1
    assert numbers["kinds"]["numbers"]["default/mlp"]["choice"]["n"] > 0
    for measure in ("model/choice", "cnn/certainty"):
        assert numbers["depth"]["numbers"][measure]["deep less shallow"]["n"] > 0
    assert "choice test: optimised image" in text and (out / "runs/fit-model/judge/vitvis_resnet.parquet").is_file()
    assert numbers["depth"]["numbers"]["chance of the same class"] == pytest.approx(3 * 8 * 7 / (24 * 23))
    for name in ("by_depth", "deep less shallow"):
        assert name in numbers["depth"]["numbers"]["model/side"]
    assert 8 <= numbers["depth"]["numbers"]["cnn/side"]["by_depth"][-1]["value"] <= 64
    assert len(numbers["depth"]["numbers"]["model/same"]["by_depth"]) == 12

    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("finding.json")}
    (out / "tokens" / "finding.json").unlink()  # one is lost: its evaluation is still there
    again = {finding.name: finding for finding in findings(settings)}
    assert again["tokens"].numbers == found["tokens"].numbers
    assert [path.parent.name for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp] == ["tokens"]


def test_without_weights_of_clip_its_commands_are_tried_and_nothing_is_said(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    open_clip = pytest.importorskip("open_clip")
    tower = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    (tmp_path / "tiny-for-findings.json").write_text(
        json.dumps({"embed_dim": 16, "vision_cfg": tower, "text_cfg": text})
    )
    open_clip.add_model_config(tmp_path / "tiny-for-findings.json")
    (finding,) = findings(
        only=["clip"],
        clip="open_clip:tiny-for-findings",
        data=f"parquet:{photos}",
        trainer={"accelerator": "cpu", "workers": 0, "progress": "none"},
        out=str(tmp_path / "out"),
    )
    assert finding.status == "not run" and finding.verdict.startswith("NOT RUN: no weights")
    labels, told = finding.found
    assert labels.startswith("Labels can't stand in for a language space here: ")  # they are no WordNet ids
    assert "(fit, search and concepts)" in told and "they run" in told
    assert (tmp_path / "out/runs/search-clip-random/concepts/concepts.csv").is_file()


def test_help_needs_no_torch(root: Path) -> None:
    code = "import sys, vitvis.findings; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
