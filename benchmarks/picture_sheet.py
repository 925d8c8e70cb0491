"""A sheet of recipes one above the other, from the folders that `benchmarks/pictures.py` leaves.

python benchmarks/picture_sheet.py out/pictures docs/images/recipes-old-new.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vitvis.runs import read_records

SIDE, PAD, TITLE, MARGIN = 96, 4, 24, 72
#: Folder of a pair, what is shown of it, how it is called, and how many.
PARTS = (
    ("vit", "head", "bundled ViT, 64 px: classes", 10),
    ("vit", "mlp", "bundled ViT: FFN units, blocks 1 to 11", 10),
    ("resnet", "head", "bundled ResNet, 64 px: classes", 10),
    ("mobilenet", "head", "mobilenetv2_100, 224 px: classes", 10),
    ("hiera", "mlp", "sam2_hiera_tiny, 224 px: FFN units, from shallow to deep", 10),
)
OLD, NEW = "1-activation", "1-default"


def pictures(folder: Path, kind: str) -> dict[str, Path]:
    """Return the pictures of the units of a kind, by address."""
    return {row["address"]: folder / row["image"] for row in read_records(folder) if row["kind"] == kind}


def spread(addresses: list[str], count: int) -> list[str]:
    """Return so many of them, evenly spaced."""
    return [addresses[place * len(addresses) // count] for place in range(min(count, len(addresses)))]


def main(runs: str, out: str) -> None:
    rows: list[tuple[str, list[tuple[str, list[Path]]]]] = []
    for pair, kind, title, count in PARTS:
        old, new = Path(runs) / pair / OLD, Path(runs) / pair / NEW
        if not (old.is_dir() and new.is_dir()):
            continue
        first, second = pictures(old, kind), pictures(new, kind)
        shared = [address for address in second if address in first]
        chosen = shared[:count] if kind == "head" else spread(shared, count)
        lines = [("old", [first[unit] for unit in chosen]), ("new", [second[unit] for unit in chosen])]
        rows.append((title, lines))
    width = MARGIN + max(len(files) for _, lines in rows for _, files in lines) * (SIDE + PAD)
    sheet = Image.new("RGB", (width, sum(TITLE + 2 * (SIDE + PAD) for _ in rows)), "white")
    draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(15), 0
    for title, lines in rows:
        draw.text((PAD, top + PAD), title, fill="black", font=font)
        top += TITLE
        for label, files in lines:
            draw.text((PAD, top + SIDE // 2 - 8), label, fill="black", font=font)
            for place, file in enumerate(files):
                picture = Image.open(file).convert("RGB")
                how = Image.Resampling.BICUBIC if picture.width < SIDE else Image.Resampling.LANCZOS
                sheet.paste(picture.resize((SIDE, SIDE), how), (MARGIN + place * (SIDE + PAD), top))
            top += SIDE + PAD
    sheet.save(out, quality=80, optimize=True, subsampling=2)


if __name__ == "__main__":
    main(*sys.argv[1:3])
