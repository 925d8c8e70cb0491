"""Small trees of data in the exact layouts, and a classifier that reads one block of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vitvis.backbones import Backbone
from vitvis.data.source import Source

VOC = """<annotation>
    <folder>{folder}</folder>
    <filename>{name}</filename>
    <source><database>ILSVRC_2012</database></source>
    <size><width>{width}</width><height>{height}</height><depth>3</depth></size>
    <segmented>0</segmented>{objects}
</annotation>
"""
OBJECT = """
    <object>
        <name>{0}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
        <bndbox><xmin>{1}</xmin><ymin>{2}</ymin><xmax>{3}</xmax><ymax>{4}</ymax></bndbox>
    </object>"""


class ReadBlock(nn.Module):
    """Predicts class `round(255 * red) // 40` of one block of pixels: black is class 0, 40 class 1, 80 class 2, ..."""

    def __init__(self, rows: slice, columns: slice, classes: int) -> None:
        super().__init__()
        self.rows, self.columns, self.num_classes = rows, columns, classes
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        level = (images[:, 0, self.rows, self.columns].mean(dim=(1, 2)) * 255 / 40).round().long()
        level = level.clamp(0, self.num_classes - 1)
        # classes further away are less likely, so that top-5 is known too
        return -(torch.arange(self.num_classes, device=images.device)[None] - level[:, None]).abs().float()


def block_backbone(
    name: str = "reader", rows: slice = slice(2, 4), columns: slice = slice(2, 4), *, classes: int = 12, size: int = 16
) -> Backbone:
    """Return a rigged backbone that looks at images of `size` px as they are."""
    return Backbone(
        ReadBlock(rows, columns, classes),
        name=name,
        weights="none",
        weights_id=f"{hash((name, rows.start, columns.start)) & 0xFFFFFFFFFFFF:012x}",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        image_size=(size, size),
        eval_settings={"crop_pct": 1.0, "interpolation": "bilinear"},
    )


def solid(level: int, size: tuple[int, int] = (16, 16)) -> Image.Image:
    """Return a grey picture, `size` is (height, width)."""
    return Image.fromarray(np.full((*size, 3), level, dtype=np.uint8))


def save(image: Image.Image, path: Path) -> Path:
    """Save a picture, its folders made; JPEG at full quality."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": 100, "subsampling": 0} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    return path


def write_voc(path: Path, boxes: list[tuple], size: tuple[int, int]) -> None:
    """Write an annotation; `boxes` hold (name, xmin, ymin, xmax, ymax), `size` is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(OBJECT.format(*box) for box in boxes)
    path.write_text(VOC.format(folder=path.parent.name, name=path.stem, width=size[1], height=size[0], objects=objects))


def labels(source: Source) -> list[int]:
    """Return the labels of the photos that can be measured."""
    return [int(source.labels[index]) for index in source.measurable]


def faults(source: Source) -> list[tuple[str, str]]:
    return [(source.key(index), reason) for index, reason in sorted(source.faults.items())]
