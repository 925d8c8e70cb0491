"""What README and docs tell people to type is true: commands parse, the cheap ones run, links lead somewhere."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from vitvis.config.core import merge, parse, recipe_names
from vitvis.config.fit import FitSettings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "getting-started.md"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


COMMANDS = sorted({line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines() if line})
FITS = [line for line in COMMANDS if "vitvis.fit" in line and "--from-png" not in line and "--help" not in line]


@pytest.mark.parametrize("line", FITS)
def test_every_fit_command_parses(line, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = shlex.split(line)
    argv = [word for word in words[words.index("vitvis.fit") + 1 :] if word != "--print-config"]
    settings = parse(FitSettings, argv, prog="fit", description="")
    for word in argv:
        if word.startswith("steps="):
            assert settings.steps == int(word.partition("=")[2])


def test_every_command_is_there():
    modules = {match for line in COMMANDS for match in re.findall(r"-m (vitvis\.\w+)", line)}
    assert {"vitvis.fit", "vitvis.sites"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module) is not None, module


def test_the_readme_names_set_up_job_and_tests():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    set_up = blocks(ROOT / "README.md", "bash")[0].splitlines()
    assert len(set_up) == 2
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install --quiet -e '.[dev]'" in ci and "pip install -e '.[dev]'" in set_up[1]
    assert "python -m pytest" in ci and "python -m pytest" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_compile(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_python_examples_of_getting_started_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = [block for block in blocks(PAGES[1], "python") if "test_vit" in block]
    assert len(examples) == 2
    for block in examples:
        names: dict = {}
        exec(compile(block, "getting-started", "exec"), names)
    assert len(names["images"]) == 4 and tuple(names["images"].shape[1:]) == (3, 64, 64)
    assert (tmp_path / "out/python/sheet.png").is_file()


def test_every_shipped_recipe_is_read_by_the_real_parser():
    assert "ghiasi2022" in recipe_names()
    for name in recipe_names():
        settings = merge(FitSettings, [f"recipe={name}"])
        assert settings == merge(FitSettings, ROOT / "configs" / f"{name}.yaml", {"recipe": name})


def test_a_recipe_lies_below_everything_else():
    paper = merge(FitSettings, ["recipe=ghiasi2022"])
    assert paper.image.kind == "pixel" and paper.steps != 7
    assert merge(FitSettings, ["steps=7", "recipe=ghiasi2022"]).steps == 7
