"""WebDataset shards: which there are, and the undecoded samples of one."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.data.pictures import as_image, broken
from vitvis.errors import VitvisError, nearest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["check_split", "is_remote", "shard_samples", "shard_url"]

_IMAGE_KEYS = ("jpg", "jpeg", "png", "webp", "JPEG", "img", "image")


def is_remote(url: str) -> bool:
    """Say whether something that is no file on this machine is meant: a URL, or a command after `pipe:`."""
    return "://" in url or url.startswith("pipe:")


def shard_url(root: str, name: str) -> str:
    """Return where a shard lies that a split names."""
    return name if is_remote(name) else os.path.join(root, name)


def check_split(root: str, split: str, spec: str) -> None:
    """Say which shards there are, where neither the split names some nor an `_info.json` lists them.

    Raises:
        VitvisError: always in that case, and where the folder isn't there.
    """
    if is_remote(root) or "tar" in split or ".." in split:
        return
    folder = Path(root)
    if not folder.is_dir():
        raise VitvisError(f"data={spec}: no such folder: {root}")
    if not any((folder / name).is_file() for name in ("_info.json", "info.json")):
        found = sorted(item.name for item in folder.glob("*.tar"))
        there = f"there are {', '.join(found[:3])}{' ...' if len(found) > 3 else ''}" if found else "there is no .tar"
        raise VitvisError(
            f"data={spec} split={split}: without an _info.json the split names the shards, as in "
            f"split='{split}-{{0000..0009}}.tar'; {there}{nearest(split, found)}"
        )


def shard_samples(url: str, spec: str) -> Iterator[tuple[str, Any, Callable[[], Image]]]:
    """Yield key, label and what decodes the image of each sample of a tar file.

    Where a file on this machine breaks off, its last entry is one that can't be decoded, so that it gets listed.

    Raises:
        VitvisError: there is no such shard.
    """
    import webdataset as wds

    reason = ""
    try:
        for sample in wds.DataPipeline(wds.SimpleShardList([url]), wds.tarfile_to_samples()):
            data = next((sample[key] for key in _IMAGE_KEYS if key in sample), None)
            yield (
                str(sample.get("__key__", "")),
                sample.get("cls", b"").decode(errors="ignore"),
                partial(as_image, data),
            )
    except FileNotFoundError:
        raise VitvisError(f"data={spec}: no such shard: {url}") from None
    except (tarfile.TarError, EOFError, ValueError) as error:
        if is_remote(url):  # the next attempt may get all of it
            raise
        reason = str(error.args[0] if error.args else type(error).__name__)  # webdataset appends its stream
    if not reason and not is_remote(url) and not _ends(Path(url)):
        reason = "no end of archive"
    if reason:
        yield Path(url).name, None, partial(broken, f"the shard breaks off here: {' '.join(reason.split())}")


def _ends(path: Path) -> bool:
    """Say whether a tar file closes with a block of zeros; cut off between two headers it reads well, but for that."""
    if path.suffix != ".tar":
        return True  # compressed, which notices by itself
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 512))
        return not any(file.read())
