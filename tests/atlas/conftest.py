"""One atlas of made runs, and a Chromium that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.atlas import made_runs as made
from vitvis.atlas import Atlas, write_atlas  # noqa: E402


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two fits, a search with an evil label, an evaluation, a sweep; one run has an evil name."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        made.write_fit(folder / "fit"),
        made.write_fit(folder / made.XSS.replace("/", ""), kinds=("mlp",), seeds=(0,), tv=0.4, strips=False),
        made.write_search(folder / "search", label=made.XSS, key=f"/data/{made.XSS}.jpg"),
        made.write_evaluate(folder / "evaluate"),
        made.write_sweep(folder / "sweep"),
    ]


@pytest.fixture(scope="session")
def atlas(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    return write_atlas(runs, tmp_path_factory.mktemp("site") / "atlas", paths=False)


class Visit:
    """A page of the atlas opened by `file://`, and everything it complained about or asked for."""

    def __init__(self, page: Any, root: Path) -> None:
        self.page = page
        self.root = root
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, route: str = "#/") -> Any:
        self.page.goto(self.root.as_uri() + route)
        return self.arrive(route)

    def arrive(self, route: str) -> Any:
        """Wait until the view of a route has been drawn."""
        self.page.wait_for_selector(
            f'[data-view][data-ready="{route}"]:not([hidden])', timeout=20_000, state="attached"
        )
        return self.page


@pytest.fixture
def visit(browser: Any, atlas: Atlas) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1000, "height": 700}, reduced_motion="reduce")
    visitor = Visit(context.new_page(), atlas.path)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert [url for url in visitor.requests if not url.startswith(("file:", "data:"))] == []
