"""Read what a search left behind. Light: no torch."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.errors import VitvisError, nearest
from vitvis.runs import Ledger, read_manifest, read_records, site_folder
from vitvis.search.maps import SparseMaps, open_maps

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SearchRun", "read_search"]


@dataclass
class SearchRun:
    """A finished search.

    Attributes:
        path: Its folder.
        manifest: Its `manifest.json`.
        records: Its records, shallow sites first, units in order.
    """

    path: Path
    manifest: dict[str, Any]
    records: list[dict[str, Any]] = field(repr=False)

    @cached_property
    def by_address(self) -> dict[str, dict[str, Any]]:
        """Records by the address of their unit."""
        return {record["address"]: record for record in self.records}

    @cached_property
    def sites(self) -> dict[str, list[dict[str, Any]]]:
        """Records by site, in the order of the rows of the site's maps."""
        sites: dict[str, list[dict[str, Any]]] = {}
        for record in self.records:
            sites.setdefault(record["site"], []).append(record)
        return sites

    @cached_property
    def places(self) -> dict[str, int]:
        """Row of each address in the maps of its site."""
        return {record["address"]: row for rows in self.sites.values() for row, record in enumerate(rows)}

    @cached_property
    def images(self) -> dict[int, dict[str, Any]]:
        """Rows of `images.parquet` by dataset index: `index, key, label, label_name`."""
        import pyarrow.parquet as pq

        path = self._whole("images.parquet")
        return (
            {row["index"]: row for row in pq.ParquetFile(io.BytesIO(path.read_bytes())).read().to_pylist()}
            if path is not None
            else {}
        )

    def record(self, address: str) -> dict[str, Any]:
        """Return the record of a unit.

        Raises:
            VitvisError: the search did not watch it; names the nearest.
        """
        if address not in self.by_address:
            raise VitvisError(f"{self.path}: has no record of {address}{nearest(address, self.by_address)}")
        return self.by_address[address]

    def maps(self, site: str) -> np.ndarray | SparseMaps | None:
        """Return the maps of a site, float16 `[units, k, rows, cols]`, left on the disk; None where there are none.

        Maps of latents, which are 0 nearly everywhere, are kept without the zeros; either is read by `maps[row]`.
        """
        path = self._whole(f"maps/{site_folder(site)}.npz") or self._whole(f"maps/{site_folder(site)}.npy")
        return None if path is None else open_maps(path)

    def _whole(self, relative: str) -> Path | None:
        """Return a file, or None where there is none.

        Raises:
            VitvisError: it is not what was written.
        """
        path = self.path / relative
        if path.is_file() and not self.ledger.is_whole(relative):
            raise VitvisError(f"{path}: is damaged (it is not what was written); run this search again to mend it")
        return path if path.is_file() else None

    @cached_property
    def ledger(self) -> Ledger:
        """The digests of its files."""
        return Ledger(self.path)

    def unit_maps(self, address: str) -> np.ndarray | None:
        """Return the maps of one unit, float16 `[k, rows, cols]`, strongest image first."""
        record = self.record(address)
        maps = self.maps(record["site"])
        return None if maps is None else maps[self.places[record["address"]]]

    def thumb(self, index: int) -> Path:
        """Return the path of an image's thumbnail; it is there for every image that a record names."""
        return self.path / "thumbs" / f"{index}.jpg"


def read_search(out: str | Path) -> SearchRun:
    """Read a search's folder.

    Raises:
        VitvisError: it is none, or has no records yet.
    """
    path = Path(out)
    manifest = read_manifest(path)
    if manifest["kind"] != "search":
        raise VitvisError(f"{path}: holds a run of vitvis.{manifest['kind']}, and no search")
    records = read_records(path)
    if not records:
        raise VitvisError(f"{path}: has no records yet; run its search again to finish it")
    order = {site["name"]: place for place, site in enumerate(manifest["backbone"].get("sites", []))}
    records.sort(key=lambda record: order.get(record["site"], len(order)))  # stable: units keep their order
    return SearchRun(path, manifest, records)
