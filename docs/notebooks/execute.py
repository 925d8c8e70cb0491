"""Execute the notebooks of this folder and save them with their outputs, small and without paths of this machine.

python docs/notebooks/execute.py [NAME ...]

They work in a folder of their own that is thrown away. Needs the extra `dev`.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
#: What tells where a notebook was executed.
PATHS = re.compile(r"(?<![\w.:/<])/(?:home|root|work|tmp|Users|usr|opt|mnt|var|private)/[\w./-]+|site-packages")
_PICTURE = 30_000  # bytes of a PNG from which it is saved as JPEG


def names() -> list[str]:
    """Return the notebooks of this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name: str) -> Any:
    """Return a notebook as it is in this folder."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute(notebook: Any, folder: Path, timeout: int = 600) -> Any:
    """Run all cells in a fresh kernel that works in `folder`, and return the notebook with small outputs.

    Raises:
        CellExecutionError: a cell has raised.
    """
    root = str(FOLDER.parents[1])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, before]))
    try:
        NotebookClient(
            notebook, timeout=timeout, kernel_name="python3", record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        ).execute()  # fmt: skip
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            output["metadata"] = {} if "data" in output else output.get("metadata")
            if output["metadata"] is None:
                del output["metadata"]
            _shrink(output.get("data", {}))
    version = notebook.metadata.get("language_info", {}).get("version", "3")
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python", "version": version, "file_extension": ".py"},
    }
    return notebook


def _shrink(data: dict[str, Any]) -> None:
    """Keep one picture of an output: JPEG where a PNG would be large."""
    png = data.get("image/png")
    if png is None or len(png) < _PICTURE:
        data.pop("image/jpeg", None)
        return
    del data["image/png"]
    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").save(buffer, "JPEG", quality=86, optimize=True)
    data["image/jpeg"] = base64.b64encode(buffer.getvalue()).decode()


def complaints(notebook: Any) -> list[str]:
    """Return what should not be published: warnings, and paths of this machine in what cells have said."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                found.append(f"cell {number}: {output['text'][:300]}")
            texts = [
                output.get("text", ""),
                *(text for kind, text in output.get("data", {}).items() if "image" not in kind),
            ]
            for text in texts:
                found += [f"cell {number}: {path}" for path in PATHS.findall(re.sub(r"base64,[\w+/=]+", "", str(text)))]
    return found


def main(chosen: list[str]) -> int:
    """Execute and save; return 1 where a notebook has warned or told a path."""
    wrong = 0
    for name in chosen or names():
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            done = execute(read(name), Path(folder))
        problems = complaints(done)
        if problems:
            wrong = 1
            print(f"{name}: not saved", *problems, sep="\n  ")
            continue
        path = FOLDER / f"{name}.ipynb"
        nbformat.write(done, path)
        print(f"{name}: {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
