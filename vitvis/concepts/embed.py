"""Embed pictures and words once; what was embedded before is read from a cache."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vitvis.backbones import Backbone, Language, Tap, select_tokens
from vitvis.errors import VitvisError
from vitvis.launch.shards import Shard
from vitvis.runs import atomic_write

from .score import Floats

__all__ = ["TEMPLATES", "Parts", "embed_pictures", "open_picture"]

#: A word's embedding is the mean of those of these texts.
TEMPLATES = ("{}", "a photo of {}", "a picture of something that is {}")


#: Texts that are embedded and kept together.
WORDS_A_PART = 256


@dataclass
class Parts:
    """Embeddings that several processes make together, some rows at a time, each part in a file of its own.

    Attributes:
        shard: The share that this process makes; all of them where it is None.
        finish: Make none.
        left: Parts that are missing still, of everything that was asked for so far, and `total`, parts there are.
    """

    shard: str | None = None
    finish: bool = False
    left: int = 0
    total: int = 0

    def make(self, cache: Path, rows: int, size: int, embed: Callable[[int, int], Floats]) -> Floats | None:
        """Return an array that is in the file `cache`, or that its parts make; None where others' parts are missing.

        Args:
            cache: The file; its parts are in a folder of its name until it is there.
            rows: Of the array.
            size: Rows of a part.
            embed: Returns the rows from one number to another.
        """
        if cache.is_file():
            return np.load(cache)
        folder, starts = cache.with_suffix(""), range(0, rows, size)
        files = {start: folder / f"{start:06d}-{size}.npy" for start in starts}
        for start in [] if self.finish else Shard.of(self.shard).own(starts):
            if not files[start].is_file():
                _write(files[start], embed(start, min(start + size, rows)))
        missing = sum(not file.is_file() for file in files.values())
        self.left, self.total = self.left + missing, self.total + len(files)
        if missing:
            return np.load(cache) if cache.is_file() else None  # another process may just have joined them
        try:
            joined = np.concatenate([np.load(file) for file in files.values()])
        except FileNotFoundError:
            return np.load(cache)
        _write(cache, joined)
        shutil.rmtree(folder, ignore_errors=True)
        return joined

    def words(self, language: Language, words: Sequence[str], caches: Sequence[Path]) -> Floats | None:
        """Return embeddings of words, `[W, D]` of length 1; None where parts of other shards are missing.

        They are kept by words and weights in the first folder of `caches`, and read from any of them.
        """
        name = f"words-{_digest(language.weights_id, *TEMPLATES, *words)}.npy"
        for cache in caches:
            if (cache / name).is_file():
                return np.load(cache / name)
        logging.getLogger("vitvis").info("embedding %d words, once for this vocabulary", len(words))

        def embed(start: int, stop: int) -> Floats:
            some = words[start:stop]
            total = sum(
                language.encode_text([template.format(word) for word in some]).numpy() for template in TEMPLATES
            )
            return (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32)

        return self.make(caches[0] / name, len(words), WORDS_A_PART, embed)

    @torch.no_grad()
    def pictures(
        self, backbone: Backbone, files: Mapping[str, Path], cache: Path, *, site: str, batch: int = 32
    ) -> Floats | None:
        """Return features of pictures, `[N, D]`, kept in a folder by files and weights; None where parts are missing.

        Args:
            backbone: a language model's image tower, or any other.
            files: by a name that says what the picture is, in order.
            cache: a folder.
            site: the embedding, `head`; or a block, of whose patches the mean is taken: what a picture looks like
                rather than what class it is.
            batch: pictures a forward pass.

        Raises:
            VitvisError: a picture can't be read, or the backbone has no such site.
        """
        stamps = [f"{name} {path.stat().st_size} {path.stat().st_mtime_ns}" for name, path in files.items()]
        key = _digest(backbone.weights_id, str(backbone.image_size), site, *stamps)
        file = cache / f"pictures-{key}.npy"
        if file.is_file():
            return np.load(file)
        if site not in backbone.sites:
            raise VitvisError(f"{backbone.name} has no {'embedding' if site == 'head' else site} to read features from")
        place = backbone.site(site)
        logging.getLogger("vitvis").info("embedding %d pictures with %s", len(files), backbone.name)
        transform, paths = backbone.transform(), list(files.values())

        def embed(start: int, stop: int) -> Floats:
            images = torch.stack([transform(open_picture(path)) for path in paths[start:stop]]).to(backbone.mean.device)
            tokens = select_tokens(tap(images)[site], place, "patches")
            return torch.nn.functional.normalize(tokens.mean(dim=1), dim=-1).cpu().numpy()

        with Tap(backbone, [place]) as tap:
            return self.make(file, len(paths), batch, embed)


def embed_pictures(backbone: Backbone, files: Mapping[str, Path], cache: Path, *, site: str, batch: int = 32) -> Floats:
    """Return features of pictures, `[N, D]`; see `Parts.pictures`."""
    found = Parts().pictures(backbone, files, cache, site=site, batch=batch)
    assert found is not None, "all parts are made here"
    return found


def _write(file: Path, features: Floats) -> None:
    buffer = io.BytesIO()
    np.save(buffer, features)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, buffer.getvalue())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def open_picture(path: Path) -> Image.Image:
    """Return a picture in RGB.

    Raises:
        VitvisError: it can't be read.
    """
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise VitvisError(f"{path}: can't be read as a picture") from error
