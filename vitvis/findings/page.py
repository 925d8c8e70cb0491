"""The page: Markdown of all findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vitvis.findings.finding import Finding

__all__ = ["read_texts", "write_page"]

Text = Mapping[str, Any]


def read_texts() -> dict[str, Text]:
    """Return `title, claim, commands, method, limits` and `pictures` of each statement, in the order of the page."""
    return yaml.safe_load(Path(__file__).with_name("texts.yaml").read_text(encoding="utf-8"))


def write_page(
    findings: Mapping[str, Finding],
    about: Mapping[str, str],
    notes: Mapping[str, str],
    locate: Callable[[str, str], str],
) -> str:
    """Return the page.

    Args:
        findings: By name of the statement.
        about: What was measured on: `name: text`, a line each.
        notes: What people say it means, who looked at the pictures; by name of the statement, and `page` on the whole.
        locate: From statement and file to the picture's place as the page refers to it.
    """
    texts = {name: text for name, text in read_texts().items() if name in findings}
    summary = [[f"[{text['title']}](#{slug(text['title'])})", findings[name].verdict] for name, text in texts.items()]
    lines = [
        *Path(__file__).with_name("intro.md").read_text(encoding="utf-8").splitlines(),
        "",
        *([notes["page"].strip(), ""] if "page" in notes else []),
        *(f"- {name}: {text}" for name, text in about.items()),
        "",
        *_rows(["statement", "what came out"], summary),
        "",
    ]
    for name, text in texts.items():
        lines += _section(text, findings[name], notes.get(name, ""), locate)
    return "\n".join(lines).rstrip() + "\n"


def _section(text: Text, finding: Finding, note: str, locate: Callable[[str, str], str]) -> list[str]:
    lines = [f"## {text['title']}", "", f"> {text['claim']}", ""]
    lines += [f"**What came out:** {finding.verdict}.", "", "```bash", *text["commands"], "```", ""]
    lines += [f"**How it is measured.** {text['method']}", ""]
    for file in finding.pictures:
        lines += [f"![{text['title']}]({locate(finding.name, file)})", "", f"*{text['pictures'][file]}*", ""]
    for table in finding.tables:
        lines += [f"**{table.title}**", "", *_rows(table.head, table.rows), ""]
    if finding.found:
        lines += [*(f"- {sentence}" for sentence in finding.found), ""]
    if note:
        lines += [f"**What it means.** {note.strip()}", ""]
    return [*lines, "**What it does not show.**", "", *(f"- {limit}" for limit in text["limits"]), ""]


def slug(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
