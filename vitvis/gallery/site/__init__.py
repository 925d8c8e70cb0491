"""The atlas: a static site from run folders, for looking at every unit without a server."""

from vitvis.gallery.site.build import Atlas, write_atlas

__all__ = ["Atlas", "write_atlas"]
