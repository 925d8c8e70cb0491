"""Make the picture at the top of README: classes of an ImageNet network and of the bundled ViT, then FFN neurons.

python docs/readme_picture.py --mobilenet FILE --hiera FILE [--work out/readme] [--image docs/images/features.jpg]

`mobilenetv2_100` and `sam2_hiera_tiny` at 224 px, the bundled ViT at its own 64 px, all with the default recipe and
seed 0. The classes were chosen for names that everybody knows and for pictures that show them, the neurons by number.
What is in the work folder is not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
CLASSES = {130: "flamingo", 145: "king penguin", 292: "tiger", 301: "ladybird", 340: "zebra", 780: "schooner",
           920: "traffic light", 949: "strawberry", 953: "pineapple", 980: "volcano"}  # fmt: skip
HIERA = {1: 17, 2: 42, 3: 42, 4: 17, 5: 17, 6: 42, 7: 42, 8: 17, 9: 17, 10: 42}
BUNDLED = ("goose", "golden retriever", "lion", "African elephant", "cauliflower", "orange", "birdhouse", "bucket",
           "teapot", "sports car")  # fmt: skip
TILE, GAP, LABEL = 144, 6, 22


def units(blocks: dict[int, int]) -> list[str]:
    """Return addresses of FFN neurons, one a block."""
    return [f"blocks.{block}.mlp:{unit}" for block, unit in blocks.items()]


def make(work: Path, weights: dict[str, str]) -> list[list[tuple[Path, str]]]:
    """Fit what is missing; return rows of pictures and their names."""
    from vitvis import fit
    from vitvis.bundled import class_names

    known = class_names("vitvis_vit")
    asked = {
        "mobilenetv2_100": ({f"head:{number}": name for number, name in CLASSES.items()}, 224),
        "vitvis_vit": ({f"head:{known.index(name)}": name for name in BUNDLED}, 64),
        "sam2_hiera_tiny": ({address: address for address in units(HIERA)}, 224),
    }
    rows = []
    for model, (names, size) in asked.items():
        out = work / model
        records = fit.run(
            model=model, weights=weights.get(model, "hub"), image_size=size, units=list(names), out=str(out)
        )
        found = {record["address"]: out / record["image"] for record in records}
        rows.append([(found[address], name) for address, name in names.items()])
    return rows


def draw(rows: list[list[tuple[Path, str]]]) -> Image.Image:
    """Lay pictures out in rows, each with its name below."""
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (TILE + GAP) - GAP, len(rows) * (TILE + LABEL + GAP) - GAP), "white")
    pen, face = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, row in enumerate(rows):
        top = number * (TILE + LABEL + GAP)
        for column, (file, name) in enumerate(row):
            left = column * (TILE + GAP)
            with Image.open(file) as picture:
                sheet.paste(picture.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS), (left, top))
            pen.text((left + TILE / 2, top + TILE + LABEL / 2), name, font=face, fill="#444444", anchor="mm")
    return sheet


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mobilenet", required=True, help="weights of mobilenetv2_100, or hub")
    parser.add_argument("--hiera", required=True, help="weights of sam2_hiera_tiny, or hub")
    parser.add_argument("--work", type=Path, default=ROOT / "out/readme")
    parser.add_argument("--image", type=Path, default=ROOT / "docs/images/features.jpg")
    asked = parser.parse_args()
    rows = make(asked.work, {"mobilenetv2_100": asked.mobilenet, "sam2_hiera_tiny": asked.hiera})
    draw(rows).save(asked.image, quality=88, subsampling=0, optimize=True)
    print(asked.image)


if __name__ == "__main__":
    main()
