"""What README and docs tell people to type is true: commands are understood, Python runs, links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.commands import Wrong, check
from tests.markdown_pages import anchors, inline_commands, read_blocks, read_links, run_shell
from vitvis.cli import COMMANDS, find_command
from vitvis.config.core import merge, recipe_names
from vitvis.fit.settings import FitSettings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")),
         ROOT / "vitvis" / "bundled" / "README.md"]  # fmt: skip
RUN = [
    "README.md",
    "docs/getting-started.md",
    "docs/choosing-units.md",
    "docs/python.md",
    "docs/recipes.md",
    "docs/settings.md",
]

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_commands_are_understood(page, tmp_path, monkeypatch):
    """Every command goes through bash, then through the parser of its program, down to the typed settings."""
    written = tmp_path / "mine.yaml"
    written.write_text("steps: 3\n")
    texts = [(block.line, block.text) for block in read_blocks(page) if block.language == "shell"]
    texts += [("in the text", text) for text in inline_commands(page)]
    wrong = []
    for line, text in texts:
        calls, complaint = run_shell(text, tmp_path / "shell")
        wrong += [f"{page.name}, line {line}: {complaint}"] if complaint else []
        for call in calls:
            keys = [word.partition("=")[0] for word in call if "=" in word]
            if len(keys) != len(set(keys)):
                wrong.append(f"{page.name}, line {line}: a setting twice, or braces without quotes: {' '.join(call)}")
            try:
                check(call, monkeypatch, written)
            except Wrong as error:
                wrong.append(f"{page.name}, line {line}: {' '.join(call)}\n    {error}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_there_are_commands():
    """The test above reads what is there: a README without commands would pass it."""
    calls = [block for block in read_blocks(ROOT / "README.md") if block.language == "shell"]
    assert len(calls) >= 3
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"vitvis.{command}" in text, f"README does not name vitvis.{command}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("python -m vitvis.fit stesp=3", "unknown setting 'stesp'"),
        ("python -m vitvis.fit steps=many", "not a whole number"),
        ("python -m vitvis.fit units=blocks.12.mlp:0", "blocks.12.mlp"),
        ("python -m vitvis.fit model=vit_bose_patch16_224", "no model"),
        ("python -m vitvis.fit --config configs/ghiasi2023.yaml", "no such file"),
        ("vitvis fti", "no command"),
        ("python -m vitvis.sweep sweeps/tv.yaml -- stesp=3", "unknown setting 'stesp'"),
        ("python benchmarks/speed.py --modell vitvis_vit", "unrecognized arguments: --modell"),
        ("torchrun --nproc-per-nude 8 -m vitvis.fit", "torchrun"),
        ("wandb swoop sweeps/tv.yaml", "no command"),
        ("pip install 'vitvis[klip]'", "no extra klip"),
        ("frobnicate --now", "unknown command: frobnicate"),
        ("vitvis evaluate models=[resnet50,vitvis_vit]", "needs quotes"),
        ("python -m vitvis.fit units='blocks.*.mlp:0", "unexpected EOF"),
    ],
)
def test_wrong_commands_are_found(text, problem, tmp_path, monkeypatch):
    calls, complaint = run_shell(text, tmp_path)
    found = [complaint]
    for call in calls:
        try:
            check(call, monkeypatch, tmp_path / "mine.yaml")
        except Wrong as error:
            found.append(str(error))
        except Exception as error:  # noqa: BLE001  # a VitvisError that checks of sweeps raise
            found.append(str(error))
    assert problem in "\n".join(found)


@pages
def test_links_lead_somewhere(page):
    """Files, pictures and headings that a page points to are there."""
    for link in read_links(page):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page if not file else page.parent / file
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"


@pages
def test_yaml_and_python_can_be_read(page):
    for block in read_blocks(page):
        if block.language == "python" and page.name != "design.md":  # signatures without bodies
            compile(block.text, f"{page.name}:{block.line}", "exec")
        elif block.language == "yaml":
            assert yaml.safe_load(block.text) is not None
        elif block.language == "toml":
            tomllib.loads(block.text)


@pytest.mark.parametrize("name", RUN)
def test_python_runs(name, tmp_path, monkeypatch):
    """The Python of these pages runs from top to bottom in one session, with few steps, on made photos.

    A block below `<!-- not run: REASON -->` is left out.
    """
    page = ROOT / name
    if not page.is_file():
        pytest.skip(f"{name} is not there yet")
    make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in read_blocks(page):
        if block.language != "python" or block.before.startswith("<!-- not run:"):
            continue
        text = re.sub(r"\b(steps|k|limit)=\d+", lambda match: f"{match[1]}=2", block.text)
        exec(compile("\n" * block.line + text, str(page), "exec"), names)


def make_data(folder):
    """Make what pages call `photos/` (three classes), `photos.parquet` (with boxes) and `photo.jpg`."""
    import io

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    draw = np.random.default_rng(0)
    rows = []
    for number in range(6):
        picture = Image.fromarray(draw.integers(0, 255, (64, 64, 3), dtype=np.uint8))
        (folder / "photos" / f"class{number % 3}").mkdir(parents=True, exist_ok=True)
        picture.save(folder / "photos" / f"class{number % 3}" / f"{number}.jpg")
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        box = {"xmin": 8, "ymin": 8, "xmax": 40, "ymax": 40}
        label = (0, 3, 3, 77, 150, 199)[number]  # of the bundled models' 200 classes
        rows.append({"image": buffer.getvalue(), "label": label, "file": f"{number}.png", **box})
    pq.write_table(pa.Table.from_pylist(rows), folder / "photos.parquet")
    picture.save(folder / "photo.jpg")


def test_the_readme_names_set_up_job_and_tests():
    shell = [block.text for block in read_blocks(ROOT / "README.md") if block.language == "shell"]
    assert shell[0].splitlines() == ["uv run vitvis fit", "uv run --extra dev pytest -n 2 --dist loadfile"]
    assert "pip install -e '.[dev]'" in shell[1].splitlines()[1]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "install --quiet -e '.[dev]'" in ci and "python -m pytest" in ci
    assert any("python -m pytest" in text for text in shell)


def test_pictures_are_small():
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 400_000, picture.name


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    listed = {link.partition("#")[0] for link in read_links(index)}
    linked = {Path(link.partition("#")[0]).name for link in read_links(ROOT / "README.md")}  # or from the front page
    missing = {page.name for page in (ROOT / "docs").glob("*.md")} - listed - linked - {"README.md"}
    assert not missing, f"docs/README.md does not list {missing}"


def test_every_shipped_recipe_is_read_by_the_real_parser():
    assert "ghiasi2022" in recipe_names()
    for name in recipe_names():
        settings = merge(FitSettings, [f"recipe={name}"])
        assert settings == merge(FitSettings, ROOT / "configs" / f"{name}.yaml", {"recipe": name})


def test_a_recipe_lies_below_everything_else():
    paper = merge(FitSettings, ["recipe=ghiasi2022"])
    assert paper.image.kind == "pixel" and paper.steps != 7
    assert merge(FitSettings, ["steps=7", "recipe=ghiasi2022"]).steps == 7


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_of_help_are_understood(command, tmp_path, monkeypatch):
    """What `--help` shows as examples is as true as what the pages say."""
    written = tmp_path / "mine.yaml"
    written.write_text("steps: 3\n")
    wrong = []
    for example in find_command(command).examples:
        calls, complaint = run_shell(example, tmp_path / "shell")
        wrong += [f"{example}\n    {complaint}"] if complaint or not calls else []
        for call in calls:
            try:
                check(call, monkeypatch, written)
            except Wrong as error:
                wrong.append(f"{example}\n    {error}")
    assert not wrong, "\n" + "\n".join(wrong)
