"""A CLIP of open_clip's own making, small, registered under a name and saved to a file; and photos to look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

NAME = "vitvis-tiny"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@dataclass
class TinyClip:
    """The model as open_clip made it, and what to write on a command line to get it."""

    model: Any
    tokenizer: Any
    file: Path
    name: str = f"open_clip:{NAME}"

    @property
    def words(self) -> list[str]:
        return [f"model={self.name}", f"weights={self.file}"]

    @torch.no_grad()
    def text(self, *texts: str) -> Tensor:
        """Embeddings `[N, D]` by open_clip's own call."""
        return self.model.encode_text(self.tokenizer(list(texts)), normalize=True)

    @torch.no_grad()
    def pictures(self, *files: Path) -> Tensor:
        """Embeddings `[N, D]` of 32 px pictures by open_clip's own call."""
        import open_clip

        pixels = torch.stack([torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()) for file in files])
        mean, std = (torch.tensor(three) for three in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
        images = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
        return functional.normalize(self.model.encode_image(images), dim=-1)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> TinyClip:
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    model = open_clip.create_model(NAME, pretrained=None).eval()
    torch.save(model.state_dict(), folder / "tiny.pt")
    return TinyClip(model, open_clip.get_tokenizer(NAME), folder / "tiny.pt")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures of 32 px: stripes and blobs in different colours."""
    folder = tmp_path_factory.mktemp("photos")
    rows, columns = np.mgrid[:32, :32] / 32
    for number in range(24):
        draw = np.random.default_rng(number)
        wave = np.sin(2 * np.pi * (draw.integers(0, 5) * rows + draw.integers(0, 5) * columns))[..., None]
        pixels = 127 + 100 * wave * draw.uniform(-1, 1, 3) + draw.normal(0, 8, (32, 32, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02d}.png")
    return folder
