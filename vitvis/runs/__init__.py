"""The run folder: records, images, manifest, lock, ledger, checkpoints; whole or not there, and known to be so."""

from vitvis.runs.checkpoint import load_checkpoint, save_checkpoint
from vitvis.runs.checks import check_folder, check_path
from vitvis.runs.files import atomic_file, atomic_folder, atomic_write
from vitvis.runs.folder import RunFolder
from vitvis.runs.hashing import digest, recipe_hash
from vitvis.runs.ledger import Ledger, write_file
from vitvis.runs.manifest import command_line, read_manifest, versions
from vitvis.runs.naming import model_folder, site_folder
from vitvis.runs.png import read_png_text, save_png
from vitvis.runs.reading import inside, read_config, read_json, read_yaml
from vitvis.runs.records import read_records, to_parquet
from vitvis.runs.run import COMMAND, main, run
from vitvis.runs.tables import read_csv, to_csv

__all__ = [
    "COMMAND",
    "Ledger",
    "RunFolder",
    "atomic_file",
    "atomic_folder",
    "atomic_write",
    "check_folder",
    "check_path",
    "command_line",
    "digest",
    "inside",
    "load_checkpoint",
    "main",
    "read_config",
    "read_csv",
    "read_json",
    "read_manifest",
    "read_png_text",
    "read_records",
    "read_yaml",
    "recipe_hash",
    "run",
    "save_checkpoint",
    "save_png",
    "model_folder",
    "site_folder",
    "to_csv",
    "to_parquet",
    "versions",
    "write_file",
]
