"""WebDataset shards, as a stream: undecoded samples, so that a broken image is listed and not dropped in silence."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vitvis.data.layouts.files import of_split
from vitvis.data.layouts.streams import Sample, SampleStream, broken, needs_library
from vitvis.data.source import Request
from vitvis.errors import VitvisError, nearest

__all__ = ["Shards"]

_IMAGE_KEYS = ("jpg", "jpeg", "png", "webp", "JPEG", "img", "image")


class Shards(SampleStream):
    """Shards named by a pattern, by an `_info.json` as timm writes it, or by the names of files in the folder.

    Where `_info.json` tells how long the shards are, a process passes over those it needs nothing of.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request, split=request.split or "")
        needs_library("webdataset", "webdataset", request)
        self._lengths: list[int] = []
        self._urls = [_url(request.path, name) for name in self._names()]
        for url in self._urls:
            if not _is_remote(url) and not os.path.isfile(url):
                raise VitvisError(f"{request.spec} split={self.split}: no such shard: {url}")

    def samples(self, needs: Callable[[int, int], bool] | None = None) -> Iterator[Sample]:
        """Yield the samples of all shards in which any index is wanted."""
        first = 0
        for place, url in enumerate(self._urls):
            stop = first + self._lengths[place] if self._lengths else None
            if stop is not None and needs is not None and not needs(first, stop):
                first = stop
                continue
            for index, (key, label, data) in enumerate(self._shard(url), start=first):
                if stop is not None and index >= stop:
                    raise VitvisError(
                        f"{self.spec}: {os.path.basename(url)} holds more than the {stop - first} images that"
                        " _info.json gives it; correct shard_lengths there"
                    )
                yield index, key, label, data
                first = index + 1 if stop is None else first
            first = stop if stop is not None else first

    def _names(self) -> list[str]:
        """Return the names of the shards; notes their lengths where they are known."""
        root, split = self.request.path, self.request.split
        folder = Path(root).expanduser()
        if split and (".tar" in split or ".." in split):
            from webdataset.shardlists import expand_urls

            return list(expand_urls(split.partition("|")[0]))
        if not _is_remote(root) and not folder.is_dir():
            raise VitvisError(f"{self.spec}: no such folder: {root}")
        if (splits := _read_info(root)) is not None:
            name = split or next((name for name in ("validation", "val") if name in splits), next(iter(splits), ""))
            if name not in splits:
                there = ", ".join(splits) or "none"
                raise VitvisError(
                    f"{self.spec} split={name}: no such split{nearest(name, splits)} (there are: {there})"
                )
            self.split, about = name, splits[name]
            lengths = [int(length) for length in about.get("shard_lengths") or ()]
            if len(lengths) == len(about["filenames"]):
                self._lengths, self.length = lengths, sum(lengths)
            return list(about["filenames"])
        found = sorted(item.name for item in folder.glob("*.tar"))
        if not found or _is_remote(root):
            raise VitvisError(
                f"{self.spec} split={split}: without an _info.json the split names the shards, as in"
                " split='val-{0000..0009}.tar'; there is no .tar"
            )
        names, self.split = of_split(found, self.request, ".tar files")
        return names

    def _shard(self, url: str) -> Iterator[tuple[str, Any, Any]]:
        """Yield key, label and image of each sample of one shard.

        Where a file on this machine breaks off, its last entry is one that can't be decoded, so that it gets listed.
        """
        import webdataset as wds

        reason = ""
        try:
            for sample in wds.DataPipeline(wds.SimpleShardList([url]), wds.tarfile_to_samples()):
                data = next((sample[key] for key in _IMAGE_KEYS if key in sample), None)
                yield str(sample.get("__key__", "")), sample.get("cls", b"").decode(errors="ignore"), data
        except FileNotFoundError:
            raise VitvisError(f"{self.spec}: no such shard: {url}") from None
        except (tarfile.TarError, EOFError, ValueError) as error:
            if _is_remote(url):  # the next attempt may get all of it
                raise
            reason = str(error.args[0] if error.args else type(error).__name__)  # webdataset appends its stream
        if not reason and not _is_remote(url) and not _ends(Path(url)):
            reason = "no end of archive"
        if reason:
            yield Path(url).name, None, broken(f"the shard breaks off here: {' '.join(reason.split())}")


def _is_remote(url: str) -> bool:
    """Say whether something that is no file on this machine is meant: a URL, or a command after `pipe:`."""
    return "://" in url or url.startswith("pipe:")


def _url(root: str, name: str) -> str:
    return name if _is_remote(name) else os.path.join(root if _is_remote(root) else os.path.expanduser(root), name)


def _read_info(root: str) -> dict[str, Any] | None:
    """Return the splits that `_info.json` tells of, or None without one."""
    import webdataset as wds

    for name in ("_info.json", "info.json"):
        url = _url(root, name)
        if not _is_remote(url) and not os.path.isfile(url):
            continue
        try:
            with wds.gopen(url) as file:
                splits = json.load(file)["splits"]
                return {str(name): about for name, about in splits.items() if about["filenames"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if not _is_remote(url):
                raise VitvisError(f"{url}: tells of no splits ({type(error).__name__}: {error})") from None
    return None


def _ends(path: Path) -> bool:
    """Say whether a tar file closes with a block of zeros; cut off between two headers it reads well, but for that."""
    if path.suffix != ".tar":
        return True  # compressed, which notices by itself
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 512))
        return not any(file.read())
