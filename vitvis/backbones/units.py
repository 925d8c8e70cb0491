"""Units: addresses that people write, and channels that are read."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vitvis.config.addresses import split_addresses, split_file
from vitvis.errors import VitvisError, sentence

from .addresses import LONGEST, expand_units, match_sites
from .dictionary_files import is_dictionary, read_dictionary
from .site import Site

__all__ = ["Unit", "check_file", "parse_units", "read_units"]


@dataclass(frozen=True)
class Unit:
    """One channel, or one direction, of one site: the thing an image is optimised for.

    Attributes:
        site: name of the site.
        index: channel; with a direction, the row of its file.
        sign: 1 to maximise, -1 to minimise.
        direction: file of directions, or a prompt (`text:"a dog"`), or None.
        vector: of a prompt, `[C]` of length 1; what counts then is the cosine.
    """

    site: str
    index: int
    sign: int = 1
    direction: str | None = None
    vector: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def address(self) -> str:
        """How a user writes this unit."""
        if self.vector is not None:
            return f"{'-' if self.sign < 0 else ''}{self.direction}"
        file = f"@{self.direction}" if self.direction else ""
        return f"{'-' if self.sign < 0 else ''}{self.site}{file}:{self.index}"


def parse_units(addresses: str | list[str] | tuple[str, ...], sites: Mapping[str, Site], seed: int = 0) -> list[Unit]:
    """Turn addresses into units.

    Args:
        addresses: one address, several in one text (apart by blanks, semicolons, or a comma before a site), or a list.
        sites: `backbone.sites`.
        seed: of the draw of `~8`; the same for the same seed and site, whatever else is asked for.

    Returns:
        Units grouped by site, shallow first, in the order written within a site, without duplicates.

    Raises:
        VitvisError: unknown site, unit out of range, unreadable file.
    """
    texts = split_addresses(addresses)
    if not texts:
        raise VitvisError("units: no address given; write SITE:UNITS, for example 'blocks.*.mlp:0-7'")
    units: dict[Unit, None] = {}
    found: dict[str, Site] = {}
    for text in texts:
        if len(text) > LONGEST:
            raise VitvisError(f"units '{text[:60]}...': longer than the {LONGEST} characters that an address may have")
        sign = -1 if text.startswith("-") else 1
        body = text.removeprefix("-").removeprefix("+")
        pattern, file, choice = _split_one(body, text)
        latents = file is not None and _holds_latents(file, text)
        for base in match_sites(pattern, sites, text):
            site = _latents(base, file, sites) if latents and file is not None else base
            direction = None if latents else file
            rows = None if direction is None else _directions(direction, text, site)
            width = site.width if rows is None else len(rows)
            for index in expand_units(choice, width, site, text, seed, directions=rows is not None):
                if rows is not None and not rows[index].any():
                    raise VitvisError(f"units '{text}': row {index} of '{direction}' is all zeros, and no direction")
                units[Unit(site.name, index, sign, direction)] = None
            found[site.name] = site
    order = {name: position for position, name in enumerate(sites)}
    return sorted(units, key=lambda unit: (found[unit.site].depth, order.get(unit.site, len(order)), unit.site))


def _latents(base: Site, file: str, sites: Mapping[str, Site]) -> Site:
    getter = getattr(sites, "get_site", None)  # which says which sites a dictionary fits
    return base.latents(file, read_dictionary(file)) if getter is None else getter(f"{base.name}@{file}")


def _split_one(body: str, text: str) -> tuple[str, str | None, str]:
    """`SITE[@FILE][:UNITS]` -> (SITE, FILE, UNITS)."""
    pattern, file, choice = split_file(body)
    if file is None and (":" not in body or not choice):
        raise VitvisError(
            f"units '{text}': no unit named; write SITE:UNITS, for example '{body.rstrip(':')}:0-7', "
            "':*' for all or ':~8' for eight"
        )
    return pattern, file, choice


def check_file(address: str) -> None:
    """Look at the dictionary or the directions that an address names, without a model.

    Raises:
        VitvisError: there is no such file, it can't be read, or it holds what can be neither.
    """
    file = split_file(address)[1]
    if file is not None and _holds_latents(file, address):
        read_dictionary(file)
    elif file is not None:
        _read_rows(file, address)


def _holds_latents(file: str, text: str) -> bool:
    """Say whether a file or folder is a dictionary; what is neither (a pipe, a device) is not to be read from."""
    path = Path(file).expanduser()
    if not file or not (path.is_file() or path.is_dir()):
        what = "is no file and no folder" if file and path.exists() else "no such file"
        raise VitvisError(f"units '{text}': {what} '{file}'")
    return is_dictionary(file)


@functools.lru_cache(maxsize=16)
def _read_directions(file: str, stamp: float) -> Tensor:
    if file.endswith(".safetensors"):
        from safetensors.torch import load_file

        tensors = list(load_file(file).values())
        if len(tensors) != 1:
            raise ValueError(f"holds {len(tensors)} tensors, expected one")
        return tensors[0].float()
    import numpy

    return torch.from_numpy(numpy.load(file, allow_pickle=False)).float()


def _read_rows(file: str, text: str) -> Tensor:
    """Directions `[K, C]` of a file, whatever the site; one vector counts as one row."""
    path = Path(file).expanduser()
    if path.suffix not in (".npy", ".safetensors"):
        raise VitvisError(
            f"units '{text}': directions come from a .npy or .safetensors file, latents from a dictionary's folder or "
            f"file, and '{file}' is neither"
        )
    try:
        rows = _read_directions(str(path), path.stat().st_mtime)
    except Exception as error:  # noqa: BLE001  # any unreadable file
        raise VitvisError(f"units '{text}': can't read directions from '{file}' ({sentence(error)})") from error
    rows = rows[None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or not rows.numel():
        raise VitvisError(f"units '{text}': '{file}' holds {list(rows.shape)}, but directions are rows of a matrix")
    if not rows.isfinite().all():
        raise VitvisError(f"units '{text}': '{file}' holds NaN or infinite numbers")
    return rows


def _directions(file: str, text: str, site: Site) -> Tensor:
    """Directions `[K, C]` of a file, for a site of C channels."""
    rows = _read_rows(file, text)
    if rows.shape[1] != site.width:
        raise VitvisError(
            f"units '{text}': '{file}' holds {list(rows.shape)}, but directions at {site.name} "
            f"are rows of {site.width} numbers"
        )
    return rows


def read_units(activations: Tensor, units: list[Unit], site: Site) -> Tensor:
    """Pick units out of an activation.

    Args:
        activations: `[B, T, C]` from a `Tap`.
        units: all of this site.
        site: where the activations come from.

    Returns:
        `[B, T, U]`: the channel (of latents, the code), or the dot product with the direction, times the unit's sign.
    """
    strays = [unit.address for unit in units if unit.site != site.name]
    if strays:
        raise ValueError(f"{strays[0]} is no unit of {site.name}")
    sign = torch.tensor([unit.sign for unit in units], dtype=activations.dtype, device=activations.device)
    if all(unit.direction is None for unit in units):
        index = torch.tensor([unit.index for unit in units], device=activations.device)
        return activations.index_select(-1, index) * sign
    rows = []
    for unit in units:
        if unit.vector is not None:
            row = unit.vector.cpu()
        elif unit.direction is None:
            row = torch.zeros(site.width)
            row[unit.index] = 1
        else:
            row = _directions(unit.direction, unit.address, site)[unit.index]
        rows.append(row)
    matrix = torch.stack(rows, dim=1).to(activations)
    return activations @ matrix * sign
