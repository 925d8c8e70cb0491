"""Hand an atlas to others: into a folder that is served as it is, or to a repository of the Hugging Face Hub."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitvis.config.paths import check_path
from vitvis.errors import VitvisError, sentence
from vitvis.runs.files import utf8

__all__ = ["CARD", "Place", "parse_place", "publish", "write_card"]

CARD = "README.md"
#: Lists, in a folder that was published into, the files that came with the atlas.
_LISTED = ".vitvis-atlas"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Place:
    """Where an atlas is published.

    Attributes:
        folder: A folder here, such as that of GitHub Pages; None for the Hub.
        repo: `USER/NAME` on the Hub, or "".
        kind: `space` or `dataset`.
    """

    folder: Path | None
    repo: str = ""
    kind: str = "space"

    @property
    def text(self) -> str:
        """The place in words."""
        return str(self.folder) if self.folder is not None else f"{self.kind} {self.repo}"


def parse_place(text: str) -> Place:
    """Return where `publish=` leads: a folder, `hf:USER/NAME` (a static Space), or `hf:datasets/USER/NAME`.

    Raises:
        VitvisError: what follows `hf:` is no name of a repository, or no atlas can be put into such a folder.

    >>> parse_place("hf:datasets/me/units").kind
    'dataset'
    """
    if not text.startswith("hf:"):
        if re.match(r"[A-Za-z][\w+.-]+:", text):
            raise VitvisError(f"publish={text}: has to be hf:USER/NAME, hf:datasets/USER/NAME, or a folder")
        check_path(text, "out", "publish")
        if (Path(text) / "manifest.json").exists():
            raise VitvisError(f"publish={text}: holds a run; choose another folder")
        return Place(Path(text))
    name = text.removeprefix("hf:")
    kind = "dataset" if name.startswith("datasets/") else "space"
    repo = name.removeprefix("datasets/").removeprefix("spaces/")
    if not _NAME.fullmatch(repo):
        raise VitvisError(f"publish={text}: has to be hf:USER/NAME, hf:datasets/USER/NAME, or a folder")
    return Place(None, repo, kind)


def write_card(atlas: Path, title: str, about: Mapping[str, Any], photos: str | None, kind: str) -> None:
    """Write `README.md` into an atlas: what it shows, of which model, made how, and under which licence its photos are.

    Args:
        atlas: Its folder.
        title: Its title.
        about: What `data/atlas.js` holds.
        photos: Their licence; None where none are in it.
        kind: `space` or `dataset`: what the Hub reads at the head of the card.
    """
    import yaml

    head: dict[str, Any] = {"title": title, "tags": ["vitvis", "feature-visualization", "interpretability"]}
    if kind == "space":
        head |= {"sdk": "static", "app_file": "index.html", "pinned": False}
    lines = ["---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(), "---", "", f"# {title}", ""]
    lines += ["What the units of a vision model look for: open `index.html`. Made with vitvis.", ""]
    for backbone in about["backbones"]:
        units = sum(site["units"] for site in backbone["sites"])
        weights = f", weights `{backbone['weights']}`" if backbone["weights"] else ""
        lines.append(
            f"- Model: **{backbone['name']}**{weights}, their hash `{backbone['weights_id']}`; {units:,} units"
        )
    for run in about["runs"]:
        recipe = f", recipe `{run['recipe']}`" if run["recipe"] else ""
        lines.append(f"- Run: {run['name']} ({run['kind']}, {run['state']}){recipe}, vitvis {run['vitvis']}")
    lines += ["", "## Photos", ""]
    lines.append(
        f"Photos of the data set are shown as thumbnails; their licence: {photos}."
        if photos
        else "No photos are in it: optimised images, numbers and names of classes only."
    )
    lines += ["", "## Links", ""]
    lines.append(
        "`index.html#/BACKBONE/SITE/UNIT` leads to a unit and stays: it is made of names, and of no numbers of"
        " this atlas. `BACKBONE@HASH` (six digits) tells weights of one model apart."
    )
    (atlas / CARD).write_bytes(utf8("\n".join(lines) + "\n"))


def publish(atlas: Path, place: Place, *, dry_run: bool = False) -> str:
    """Publish a written atlas.

    Args:
        atlas: Its folder, with its card.
        place: Where to.
        dry_run: Say what would be done, and do nothing.

    Returns:
        What was done, in one line.

    Raises:
        VitvisError: the folder holds files of somebody else under the same names, or the Hub refuses.
    """
    files = sorted(path.relative_to(atlas).as_posix() for path in atlas.rglob("*") if path.is_file())
    size = sum((atlas / name).stat().st_size for name in files) / 1e6
    if dry_run:
        return f"would publish {len(files)} files, {size:.1f} MB, to {place.text}"
    where = _into_folder(atlas, files, place.folder) if place.folder is not None else _to_hub(atlas, place)
    return f"published {len(files)} files, {size:.1f} MB: {where}"


def _into_folder(atlas: Path, files: Sequence[str], folder: Path) -> str:
    """Bring a folder to what an atlas holds; what else lies in it stays, such as `.git`."""
    listed = folder / _LISTED
    before = set(listed.read_text(encoding="utf-8").splitlines()) if listed.is_file() else set()
    foreign = [name for name in files if name not in before and (folder / name).exists()]
    if foreign:
        raise VitvisError(f"publish={folder}: holds {foreign[0]}, which no atlas put there; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    listed.write_text("\n".join(sorted({*before, *files})) + "\n", encoding="utf-8")  # known before it is there
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(atlas / name, folder / name)
    home = folder.resolve()
    for name in before - set(files):
        old = (home / name).resolve()
        if old.is_relative_to(home) and old.is_file():
            old.unlink()
    listed.write_text("\n".join(files) + "\n", encoding="utf-8")
    (folder / ".nojekyll").touch()  # GitHub Pages would look for a theme
    return str(folder / "index.html")


def _to_hub(atlas: Path, place: Place) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    sdk = {"space_sdk": "static"} if place.kind == "space" else {}
    try:
        api.create_repo(place.repo, repo_type=place.kind, exist_ok=True, **sdk)  # type: ignore[arg-type]
        api.upload_folder(
            repo_id=place.repo,
            repo_type=place.kind,
            folder_path=atlas,
            commit_message="Publish an atlas",
            delete_patterns=["data/*", "sprites/*", "thumbs/*", "images/*", "progress/*", "map/*", "assets/*"],
        )
    except LocalTokenNotFoundError:
        raise VitvisError(f"publish=hf:{place.repo}: no token; set HF_TOKEN, or run `hf auth login`") from None
    except (HfHubHTTPError, OSError) as error:
        raise VitvisError(f"publish=hf:{place.repo}: {sentence(error)}") from None
    base = f"{api.endpoint}/{place.kind}s/{place.repo}"
    return base
