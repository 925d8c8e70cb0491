"""Look into one model of every family that timm has, and check what is found there.

    python tests/torture/architectures.py                    # all families, shapes only: minutes on one core
    python tests/torture/architectures.py nest fastvit       # those whose names begin so
    python tests/torture/architectures.py --real --seed 1    # also values: random weights, random images, gradients
    python tests/torture/architectures.py --real --log FILE  # in parts: what stands in the file is not looked at again

Shapes are looked at on PyTorch's `meta` device at the model's own size, a larger one and one that is not square. What
belongs to the image (rows, columns) scales with it and what belongs to the model (units, heads) does not; a layout that
is read wrongly breaks one or the other. With `--real`, the gradient of a token has to lie at the token's place in the
image, and the gradient of an image alone has to be the one it has beside another.

One line a model: sites by kind, then what is wrong. The exit status is 1 if anything is.
"""

from __future__ import annotations

import argparse
import copy
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from vitvis.backbones import Backbone, Site, Sites, Tap, find_sites, load_backbone

Size = tuple[int, int]
Place = tuple[float, float]  # row and column, on a scale of 0 to 1

#: Words of a name that tell sizes and not structures, smallest first.
SIZES = """zepto atto femto pico xxtiny nano xxs xtiny xs tiny ti t xsmall mini micro small s medium xmedium m base b
large l xlarge x xxlarge xl xxl giant g huge hg gigantic enormous so150m so400m so150m2 n p f a lite""".split()


def families() -> dict[str, list[str]]:
    """Names of timm's models by what is left of them without sizes, smallest first."""
    found: dict[str, list[str]] = {}
    for name in timm.list_models():
        parts = [re.sub(r"\d+", "#", part) for part in re.sub(r"_\d+(px)?(?=_|$)", "", name).split("_")]
        found.setdefault("_".join(part for part in parts if part not in SIZES and part != "#"), []).append(name)
    rank = {word: place for place, word in enumerate(SIZES)}
    return {
        family: sorted(names, key=lambda name: [rank.get(part, 99) for part in name.split("_")])
        for family, names in found.items()
    }


def build(name: str, size: Size | None = None, device: str = "meta") -> nn.Module | None:
    """Build a model, for an image size where it takes one; None where it does not take this one."""
    torch.manual_seed(0)
    settings = {} if size is None else {"img_size": size}
    try:
        with torch.device(device):
            return timm.create_model(name, **settings).eval()
    except TypeError as error:
        if size is None or "img_size" not in str(error):
            raise
        return build(name, None, device)
    except (AssertionError, ValueError, RuntimeError):
        if size is None:
            raise
        return None


def other_sizes(model: nn.Module) -> tuple[Size, list[Size]]:
    """The model's own size, and others to hold against it; one that is not square tells most."""
    _, rows, columns = model.pretrained_cfg.get("input_size", (3, 224, 224))
    step = 64 if rows % 64 == 0 else 56 if rows % 56 == 0 else 32
    return (rows, columns), [(rows, columns + 4 * step), (2 * rows, 2 * columns), (rows + step, columns + step)]


def look(name: str, model: nn.Module, size: Size) -> Sites | None:
    """Sites of a model of the meta device at an image size; None where it does not take this size.

    The model gets memory, though no values, so that the order of tokens can be followed in it.
    """
    try:
        with torch.no_grad():
            model(torch.zeros(2, 3, *size, device="meta"))
    except Exception:  # noqa: BLE001  # any model's own way of refusing a size
        return None
    twin = copy.deepcopy(model).to_empty(device="cpu")
    for buffer in twin.buffers():  # indices among them
        buffer.zero_()
    return find_sites(twin, name, size)


def compare(one: Sites, other: Sites, small: Size, large: Size) -> list[str]:
    """What differs between two image sizes and should not, or does not and should."""
    wrong = []
    for first, second, size in ((one, other, large), (other, one, small)):
        # what the heads hand on can't be read where windows are padded, which depends on the size
        wrong += [f"{n}: not at {size}" for n in first if n not in second and not n.endswith("attn_heads")]
    for name in one:
        if name not in other:
            continue
        a, b = one[name], other[name]
        if (a.kind, a.width, a.heads, a.prefix_tokens) != (b.kind, b.width, b.heads, b.prefix_tokens):
            wrong.append(f"{name}: {a.width} units, {a.prefix_tokens} prefix; {b.width}, {b.prefix_tokens} at {large}")
        if (a.grid is None) != (b.grid is None):
            wrong.append(f"{name}: grid {a.grid}, {b.grid} at {large}")
        elif a.grid and b.grid:
            for before, after, scale in zip(a.grid, b.grid, (large[0] / small[0], large[1] / small[1]), strict=True):
                if abs(after - before * scale) > max(scale, 0.04 * after):  # each stride rounds, some pad nothing
                    wrong.append(f"{name}: grid {a.grid}, {b.grid} at {large}")
                    break
    return wrong


def check_widths(model: nn.Module, sites: Sites) -> list[str]:
    """A site has as many units as some layer of its module, or of what holds it, has channels."""
    wrong = []
    for name, site in sites.items():
        if site.kind == "head" or site.point.channels is not None:
            continue
        path = site.module
        while path:
            sizes = {size for value in model.get_submodule(path).parameters() for size in value.shape[:2]}
            if sizes & {site.width, 2 * site.width, 3 * site.width}:
                break
            path = path.rpartition(".")[0]
        if not path and site.module or site.width == 1:
            wrong.append(f"{name}: no layer has {site.width} channels")
    return wrong


def summary(sites: Sites) -> str:
    """Sites by kind."""
    return " ".join(f"{kind}={count}" for kind, count in Counter(site.kind for site in sites.values()).items())


def check_shapes(name: str) -> tuple[str, list[str]]:
    """Sites of a model at several sizes."""
    model = build(name)
    assert model is not None
    own, others = other_sizes(model)
    sites = look(name, model, own)
    if sites is None:
        return "", [f"does not run at its own size {own}"]
    wrong = check_widths(model, sites)
    compared = 0
    for size in others:
        resized = build(name, size)
        found = None if resized is None else look(name, resized, size)
        if found is not None:
            compared += 1
            wrong += compare(sites, found, own, size)
            break
    missing = {"block", "head"} - {site.kind for site in sites.values()}
    if missing and getattr(model, "num_classes", 0):
        wrong.append(f"no {', '.join(sorted(missing))}")
    return f"{summary(sites)} sizes={1 + compared}", wrong


def places(backbone: Backbone, seed: int, spots: Sequence[Place]) -> dict[str, list[Place]]:
    """Where each site changes most when the image changes at a spot; one place for each spot."""
    generator = torch.Generator().manual_seed(seed)
    height, width = backbone.image_size
    side = max(2, height // 16)
    images = (0.5 + 0.05 * torch.randn(1, 3, height, width, generator=generator)).repeat(1 + len(spots), 1, 1, 1)
    for image, (row, column) in zip(images[1:], spots, strict=True):
        y, x = int(row * height), int(column * width)
        square = torch.randn(3, 2 * side, 2 * side, generator=generator)
        image[:, y - side : y + side, x - side : x + side] += 0.01 * square

    def centre(site: Site, value: Tensor) -> list[Place]:
        rows, columns = site.grid or (1, 1)
        change = (value[1:] - value[:1]).double().square().mean(-1)[:, site.prefix_tokens :]
        change = (change / change.sum(dim=1, keepdim=True)).unflatten(1, (rows, columns))
        row = (change.sum(2) * (torch.arange(rows) + 0.5)).sum(1) / rows
        column = (change.sum(1) * (torch.arange(columns) + 0.5)).sum(1) / columns
        return list(zip(row.tolist(), column.tolist(), strict=True))

    chosen = [
        site for site in backbone.sites.values() if site.grid and min(site.grid) >= 4 and site.kind != "attn"
    ]  # attention mixes places by design
    if not chosen:
        return {}
    with torch.no_grad(), Tap(backbone, chosen) as tap:
        return tap(images, centre)


def check_places(backbone: Backbone, seed: int) -> list[str]:
    """A change of the image at a place changes a site at that place.

    Sites of the first blocks have to say where; deeper ones, which see more and more of the image, on which side.
    """
    spots = ((0.2, 0.8), (0.6, 0.3))
    wrong = []
    for path, found in places(backbone, seed, spots).items():
        site = backbone.sites[path]
        slack = 0.6 / min(site.grid or (1, 1)) + 0.15
        for there, seen in zip(spots, found, strict=True):
            for a, b in zip(there, seen, strict=True):
                if abs(a - b) > slack if site.depth <= 1 else (a - 0.5) * (b - 0.5) < -0.01:
                    wrong.append(f"{path}: a spot at {there} is seen at ({seen[0]:.2f}, {seen[1]:.2f})")
    return wrong


def check_alone(backbone: Backbone, seed: int) -> list[str]:
    """The gradient of an image alone is the one that it has beside another."""
    images = torch.rand(2, 3, *backbone.image_size, generator=torch.Generator().manual_seed(seed))
    wrong = []
    for site in {site.kind: site for site in reversed(backbone.sites.values())}.values():
        gradients = []
        for batch in (images, images[:1]):
            batch = batch.clone().requires_grad_()
            with Tap(backbone, [site]) as tap:
                (read,) = tap(batch).values()
            weights = torch.randn(read.shape[1:], generator=torch.Generator().manual_seed(seed))
            gradients.append(torch.autograd.grad((read * weights).sum(), batch)[0][0])
        far = float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max().clamp_min(1e-30))
        if not far < 1e-3:
            wrong.append(f"{site.name}: gradient alone differs by {far:.1e}")
    return wrong


def check(name: str, real: bool, seed: int, weights: Path | None = None) -> tuple[str, list[str]]:
    """Sites of a model, and what is wrong with them; an error of any kind is wrong.

    Args:
        name: Of the model.
        real: Whether values are looked at too.
        seed: Of random weights and images.
        weights: A folder of files `NAME.*`; a model without one gets random weights.
    """
    try:
        found, wrong = check_shapes(name)
        if real and not wrong:
            files = [] if weights is None else sorted(weights.glob(f"{name}.*"))
            backbone = load_backbone(name, str(files[0]) if files else "none", seed=seed)
            wrong = check_places(backbone, seed) + check_alone(backbone, seed)
    except Exception as error:  # noqa: BLE001  # one model is not to end the others
        return "", [f"{type(error).__name__}: {str(error)[:200]}"]
    return found, wrong


def main() -> int:
    """Check the families that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models, or how families begin; all families where none is given")
    parser.add_argument("--real", action="store_true", help="also with values")
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--weights", type=Path, help="a folder of files NAME.*; random weights for all others")
    parser.add_argument("--log", type=Path, help="a file that lines are added to; models with a line are left out")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no model after that")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = [names[0] for names in families().values()]
    if options.names:
        exact = [name for name in options.names if timm.is_model(name)]
        chosen = exact + [name for name in chosen if name.startswith(tuple(options.names)) and name not in exact]
    lines = options.log.read_text().splitlines() if options.log and options.log.exists() else []
    known, began = {line.split("\t")[0] for line in lines}, time.monotonic()
    for name in (name for name in chosen if name not in known):
        start = time.monotonic()
        if start - began > options.seconds:
            break
        found, wrong = check(name, options.real, options.seed, options.weights)
        shown = "; ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        lines.append(f"{name}\t{found}\t{shown or 'ok'}\t{time.monotonic() - start:.1f} s")
        print(lines[-1], flush=True)
        if options.log:
            with options.log.open("a") as log:
                log.write(lines[-1] + "\n")
    rows = [row for row in (line.split("\t") for line in lines) if row[0] in chosen]
    failed = sum(row[2] != "ok" for row in rows)
    print(f"{len(rows)} of {len(chosen)} models, {failed} with faults")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
