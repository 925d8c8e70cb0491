"""One unit to play with in a notebook: choose it, see its photos, drag steps and decay, and fit it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitvis.atlas.readers import read_backbones, read_runs
from vitvis.atlas.show import find_unit
from vitvis.draw import html
from vitvis.errors import VitvisError

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise VitvisError("vitvis.widget needs anywidget: pip install 'vitvis[notebook]'") from error

__all__ = ["UnitWidget", "widget"]

_PICTURE = 160  # px


class UnitWidget(anywidget.AnyWidget):
    """Shows one unit; `vitvis.widget` makes it.

    Attributes:
        sites: Name and width of each site.
        site: The site that is chosen.
        unit: The unit that is chosen.
        steps: Of the next fit.
        decay: `image.decay` of the next fit.
        pictures: The unit's pictures, as HTML, the newest first.
        photos: What a search knows of the unit, as HTML.
        state: `ready`, `busy`, or what went wrong.
        done: The last fit that a page has asked for and that has ended.
    """

    _esm = Path(__file__).parent / "static" / "widget.js"
    sites: Any = traitlets.List().tag(sync=True)
    site = traitlets.Unicode().tag(sync=True)
    unit = traitlets.Int(0).tag(sync=True)
    steps = traitlets.Int(60).tag(sync=True)
    decay = traitlets.Float(1.25).tag(sync=True)
    pictures = traitlets.Unicode().tag(sync=True)
    photos = traitlets.Unicode().tag(sync=True)
    state = traitlets.Unicode("ready").tag(sync=True)
    done = traitlets.Int(0).tag(sync=True)

    def __init__(self, settings: dict[str, Any], sites: list[list[Any]], search: str | None, out: Path) -> None:
        self._settings, self._out = settings, out
        self._runs = read_runs([search]) if search is not None else []
        self._searched = read_backbones(self._runs)
        self._made: dict[str, list[str]] = {}
        super().__init__(sites=sites, site=sites[0][0])
        self.on_msg(self._hear)
        self.observe(lambda _: self._look(), ["site", "unit"])
        self._look()

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        if not isinstance(message, dict) or "fit" not in message:
            return
        try:
            for name in ("site", "unit", "steps", "decay"):
                setattr(self, name, message[name])
            self.fit()
        finally:
            self.done = message["fit"]

    @property
    def address(self) -> str:
        """The unit that is chosen."""
        return f"{self.site}:{self.unit}"

    def fit(self) -> None:
        """Make a picture of the unit with the steps and the decay that are chosen."""
        from vitvis.fit import run

        address, words = self.address, f"{self.steps} steps, decay {self.decay:g}"
        self.state = "busy"
        try:
            asked = {"image.decay": self.decay, "trainer.progress": "none", "logger.kind": "none"}
            out = self._out / f"steps{self.steps}-decay{self.decay:g}"
            made = run({**asked, **self._settings}, units=address, steps=self.steps, out=str(out))
        except VitvisError as error:
            self.state = str(error)
            return
        record = next(record for record in made if record["address"] == address)
        caption = f"{words}: {record['activation']:.3g}" + ("" if record["status"] == "ok" else f", {record['status']}")
        uri = html.data_uri(made.path / record["image"])
        self._made.setdefault(address, []).insert(0, html.picture(uri, _PICTURE, f"{address}, {words}", caption))
        self.state = "ready"
        self._look()

    def _look(self) -> None:
        self.pictures = html.columns(self._made.get(self.address, []))
        try:
            self.photos = find_unit(self._searched, self._runs, self.address)._repr_html_() if self._runs else ""
        except VitvisError:
            self.photos = "" if self.state == "busy" else f"<p>The search has not seen {html.escape(self.address)}.</p>"


def widget(
    model: str = "vitvis_vit", *, search: Any = None, out: str | Path = "out/widget", **settings: Any
) -> UnitWidget:
    """Return a widget: choose a site and a unit, see picture and photos, drag `steps` or `decay`, fit again.

    Args:
        model: A bundled model or any other that `vitvis.fit` takes.
        search: Run folder of a search of this model, or what `vitvis.search.run` returned; its photos are shown.
        out: Folder of the pictures, a run for each steps and decay.
        settings: Others of `vitvis.fit`, such as `weights=...`, `recipe=...`.

    Raises:
        VitvisError: no such model or search, or the extra `notebook` is missing.
    """
    from vitvis.backbones import load_backbone
    from vitvis.config import merge
    from vitvis.fit.settings import FitSettings

    asked = merge(FitSettings, {"model": model}, settings)
    backbone = load_backbone(model, asked.weights, asked.image_size)
    sites = [[site.name, site.width] for site in backbone.sites.values()]
    folder = getattr(search, "path", search)
    return UnitWidget({"model": model, **settings}, sites, None if folder is None else str(folder), Path(out))
