"""The run folder: records, images, manifest, lock, resume."""

from vitvis.runs.files import atomic_write, read_png_text, save_png
from vitvis.runs.folder import RunFolder
from vitvis.runs.hashing import digest, recipe_hash
from vitvis.runs.manifest import command_line, read_manifest, versions
from vitvis.runs.records import read_records

__all__ = [
    "RunFolder",
    "atomic_write",
    "command_line",
    "digest",
    "read_manifest",
    "read_png_text",
    "read_records",
    "recipe_hash",
    "save_png",
    "versions",
]
