"""Contact sheets and the static atlas."""

from vitvis.draw.sheet import Row, Tile, draw_sheets, rows_of_records

__all__ = ["Row", "Tile", "draw_sheets", "rows_of_records"]
