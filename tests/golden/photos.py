"""Photos for the golden tables: made up, the same bytes of colour on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["Box", "photo", "write_boxes", "write_classes"]

Box = tuple[int, int, int, int]

#: WordNet ids of umbrella, goldfish, jellyfish and pill bottle: what the bundled models see in most such photos.
CLASSES = ("n04507155", "n01443537", "n01910747", "n03937543")
#: The class of each photo, so that both models are right about some and wrong about others.
LABELS = (0, 2, 0, 2, 0, 1, 0, 0, 0, 3, 0, 0, 1, 1, 0, 2)
SIDE = 96


def photo(number: int) -> tuple[Image.Image, Box]:
    """Return a photo of 96 px, blurs of colour with a striped thing in it, and the thing's box (l, t, r, b).

    Only whole numbers decide it: draws of numpy's frozen generator, and Pillow's resizing, which counts in integers.
    """
    random = np.random.RandomState(number)
    coarse = Image.fromarray(random.randint(0, 256, (5, 5, 3)).astype(np.uint8))
    pixels = np.array(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    (top, left), (height, width) = random.randint(4, 32, 2), random.randint(24, 60, 2)
    period = random.randint(2, 9)
    colours = random.randint(0, 256, (2, 3)).astype(np.uint8)
    rows, columns = np.indices((height, width))
    stripes = (rows + (columns if number % 2 else 0)) // period % 2
    pixels[top : top + height, left : left + width] = colours[stripes]
    return Image.fromarray(pixels), (int(left), int(top), int(left + width), int(top + height))


def write_classes(folder: Path) -> Path:
    """Write photos as a folder with one folder a class."""
    for number, label in enumerate(LABELS):
        path = folder / CLASSES[label] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(number)[0].save(path)
    return folder


def write_boxes(folder: Path) -> Path:
    """Write photos under `images/CLASS`, and the box of each as a polygon under `polygons/CLASS`."""
    write_classes(folder / "images")
    for path in (folder / "images").rglob("*.png"):
        left, top, right, bottom = (side / SIDE for side in photo(int(path.stem))[1])
        corners = (left, top, right, top, right, bottom, left, bottom)
        text = folder / "polygons" / path.parent.name / f"{path.stem}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 " + " ".join(f"{corner:.6f}" for corner in corners) + "\n")
    return folder
