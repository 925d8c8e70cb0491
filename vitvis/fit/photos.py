"""What a search knows about the units of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitvis.backbones import Unit
from vitvis.errors import VitvisError
from vitvis.runs.manifest import read_manifest
from vitvis.runs.records import read_records

if TYPE_CHECKING:
    from vitvis.backbones.backbone import Backbone

__all__ = ["SearchedUnits"]


class SearchedUnits:
    """The units that a search of the model under study has watched.

    Args:
        search: its run folder.
        backbone: the model; the search has to be of the same weights.
        name: of the setting that asks, for errors.

    Attributes:
        path: of the folder.
        tokens: those that the search read.

    Raises:
        VitvisError: no search of this model.
    """

    def __init__(self, search: str, backbone: Backbone, name: str) -> None:
        self.path, self.name = Path(search).expanduser(), name
        manifest = read_manifest(self.path)
        if manifest["kind"] != "search":
            raise VitvisError(f"{name}={self.path}: holds a run of vitvis.{manifest['kind']}, and no search")
        if manifest["backbone"]["weights_id"] != backbone.weights_id:
            raise VitvisError(
                f"{name}={self.path}: is a search of {manifest['backbone']['name']} with weights "
                f"{manifest['backbone']['weights_id']}, not of {backbone.name} with {backbone.weights_id}"
            )
        self.tokens = (manifest.get("recipe") or {}).get("tokens", "patches")
        self._records = {record["address"]: record for record in read_records(self.path)}

    def strongest(self, unit: Unit) -> list[int]:
        """Return the dataset indices of the photos that excite a unit most, in its own direction, the best first."""
        record, turned = self._record(unit)
        return [int(index) for index in record["weakest_index" if turned else "strongest_index"]]

    def best(self, unit: Unit) -> float:
        """Return the activation of a unit on its best photo, in its own direction."""
        record, turned = self._record(unit)
        values = record["weakest_activation" if turned else "strongest_activation"]
        return float(values[0]) * (-1 if turned else 1)

    def _record(self, unit: Unit) -> tuple[dict[str, Any], bool]:
        """Return a unit's record, and whether it is that of the unit in the other direction.

        Raises:
            VitvisError: the search did not watch the unit.
        """
        address = unit.address
        if address in self._records:
            return self._records[address], False
        if unit.sign < 0 and address.removeprefix("-") in self._records:
            return self._records[address.removeprefix("-")], True
        raise VitvisError(f"{self.name}={self.path}: did not watch {address}; search it too, or leave it out")
