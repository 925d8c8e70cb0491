"""What a unit does to the classes: it is set to its mean on its strongest images, and the logits are read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vitvis.backbones import Backbone, Site, Tap
from vitvis.data.decode import decode
from vitvis.data.photo import UnusableImage
from vitvis.runs import to_parquet
from vitvis.search.reading import SearchRun

if TYPE_CHECKING:
    from vitvis.runs import RunFolder

__all__ = ["CLASSES", "FILE", "effects", "write_effects"]

FILE = "ablation.parquet"
#: Classes that a unit is noted to raise most.
CLASSES = 8
_BATCH = 64


def write_effects(folder: RunFolder, run: SearchRun, backbone: Backbone, photos: int) -> None:
    """Write `ablation.parquet`: `address, site, photos`, and by unit the classes that lose most: `label, name, drop`.

    A model without a classifier has no such file. Signed units and directions are left out, and so are sites that can
    only be read, not written: what is copied on its way out of the model, such as windows.

    Args:
        folder: Of the search.
        run: The same, with its records.
        backbone: Its model.
        photos: Strongest images on which a unit is tried.
    """
    import pyarrow as pa

    head = backbone.sites.get("head") if backbone.num_classes else None
    if head is None or head.width != backbone.num_classes:
        return
    names = backbone.class_names or [str(label) for label in range(head.width)]
    rows: list[dict[str, Any]] = []
    for site_name, records in run.sites.items():
        site = backbone.sites.get(site_name)
        if site is None or "@" in site_name or site.name == head.name or site.depth > head.depth:
            continue
        plain = [record for record in records if record["address"] == f"{site_name}:{record['unit']}"]
        for record, drops in zip(plain, effects(run, backbone, site, head, plain, photos), strict=False):
            order = np.argsort(-drops, kind="stable")[:CLASSES]
            order = order[drops[order] > 0]
            rows.append(
                {
                    "address": record["address"],
                    "site": site_name,
                    "photos": min(photos, len(record["strongest_index"])),
                    "label": order.tolist(),
                    "name": [names[label] for label in order],
                    "drop": [float(drops[label]) for label in order],
                }
            )
    folder.write_bytes(FILE, to_parquet(pa.Table.from_pylist(rows, _schema())))


def _schema() -> Any:
    import pyarrow as pa

    lists = {"label": pa.int32(), "name": pa.string(), "drop": pa.float32()}
    plain = [("address", pa.string()), ("site", pa.string()), ("photos", pa.int32())]
    return pa.schema([*plain, *((name, pa.list_(kind)) for name, kind in lists.items())])


@torch.no_grad()
def effects(
    run: SearchRun, backbone: Backbone, site: Site, head: Site, records: Sequence[dict[str, Any]], photos: int
) -> Iterator[np.ndarray]:
    """Yield for each unit by how much each class falls when the unit is set to its mean, float32 `[K]`.

    Logits are measured from their mean over the classes, which softmax does not see; a fall is averaged over the
    images. Nothing is yielded for a site whose activation can't be written to.

    Args:
        run: The search; thumbnails are what the model saw.
        backbone: The model.
        site: Of the units.
        head: The classifier's logits.
        records: Of the units.
        photos: Strongest images a unit.
    """
    device = next(backbone.parameters()).device
    with Tap(backbone, [site, head]) as tap:
        if not records or not _can_write(tap, site, head, backbone, device):
            return
        each = max(1, _BATCH // photos)
        for start in range(0, len(records), each):
            part = records[start : start + each]
            images: list[Tensor] = []
            owners: list[int] = []
            for place, record in enumerate(part):
                for index in record["strongest_index"][:photos]:
                    try:
                        picture = np.array(decode(run.thumb(int(index))))
                    except UnusableImage:
                        continue
                    images.append(torch.from_numpy(picture).permute(2, 0, 1).float() / 255)
                    owners.append(place)
            if not images:
                yield from (np.zeros(head.width, np.float32) for _ in part)
                continue
            batch = torch.stack(images).to(device)
            means = [float(part[owner]["mean"] or 0.0) for owner in owners]
            units = [int(part[owner]["unit"]) for owner in owners]
            before = _logits(tap, head, batch)
            after = _logits(tap, head, batch, site, units, means)
            drops = (before - after).cpu().numpy()
            for place in range(len(part)):
                own = [row for row, owner in enumerate(owners) if owner == place]
                yield drops[own].mean(0) if own else np.zeros(head.width, np.float32)


def _logits(
    tap: Tap,
    head: Site,
    images: Tensor,
    site: Site | None = None,
    units: Sequence[int] = (),
    values: Sequence[float] = (),
) -> Tensor:
    """Return logits `[B, K]` about their mean, with one unit of each image set to a value where a site is named."""

    def visit(at: Site, found: Tensor) -> Tensor:
        if at is head or at.name == head.name:
            return found.mean(1).float().clone()
        if site is not None:
            rows = torch.arange(len(units), device=found.device)
            columns = torch.as_tensor(units, device=found.device)
            new = torch.as_tensor(values, device=found.device, dtype=found.dtype)
            tokens = slice(site.prefix_tokens, None) if found.shape[1] > site.prefix_tokens else slice(None)
            found[:, tokens][rows, :, columns] = new[:, None]  # a view of what the model goes on with
        return found.new_zeros(())

    logits = tap(images, visit)[head.name]
    return logits - logits.mean(1, keepdim=True)


def _can_write(tap: Tap, site: Site, head: Site, backbone: Backbone, device: torch.device) -> bool:
    """Say whether what is written into the activation of a site reaches the logits."""
    images = torch.rand(1, 3, *backbone.image_size, generator=torch.Generator().manual_seed(0)).to(device)
    changed = [_logits(tap, head, images, site, [unit], [1e3]) for unit in range(min(4, site.width))]
    plain = _logits(tap, head, images)
    return any(not torch.equal(plain, other) for other in changed)
