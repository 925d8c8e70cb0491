"""axe-core on a page: what people with other eyes, hands and ears can't use."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest


def faults(page: Any) -> list[str]:
    """Return the serious and critical faults that axe-core (WCAG 2.2 AA and its best practices) finds on a page.

    The script comes with `axe-playwright-python`, so nothing is downloaded and nothing of it is copied in here.
    """
    pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.add_script_tag(content=(files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']} ({fault['impact']}): {node['html'][:160]} {[why['message'][:200] for why in node['any']]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
