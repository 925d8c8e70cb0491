"""Contact sheets and the static atlas."""

from vitvis.gallery.sheet import Row, Tile, draw_sheets, rows_of_records

__all__ = ["Row", "Tile", "draw_sheets", "rows_of_records"]
