"""Read files of weights from strangers: tensors come in, and nothing else of the file is ever run.

A file that holds more than tensors (a training script's arguments, numpy scalars, paths, a whole pickled model, a
TorchScript archive) is read by an unpickler that knows how tensors are put together and no other name: whatever else
the file names is neither imported nor called, an inert object stands for it.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitvis.errors import VitvisError, sentence

__all__ = ["read_content", "read_tensors", "reason"]

MOST_UNPACKED = 4  # an archive may unpack to so many times its size on the disk (torch stores and does not deflate)
MOST_SHARED = 8  # all tensors together may be so many times the file: several may share one storage
SLACK = 2**26  # bytes that are always allowed
DEEPEST = 64  # modules within modules, dictionaries within dictionaries

# dictionaries within a checkpoint that hold the model, in the order in which they are looked for: averages come first
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "teacher", "net", "backbone")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the state dict of a safetensors file, a `.pth` (zip or older), a Lightning checkpoint or a TorchScript file.

    The format is told by the content, not by the name.

    Raises:
        VitvisError: no such file, no weights in it, or one of the limits above is passed.
    """
    if not file.is_file():
        raise VitvisError(f"weights={file}: no such file; use a .safetensors or .pth file, hub or none")
    try:
        tensors = _find_state(read_content(file), file)
        _check_size(tensors, file)
    except VitvisError:
        raise
    except (Exception, RecursionError) as error:  # noqa: BLE001  # broken archives raise many types
        raise VitvisError(f"weights={file}: can't be read as weights ({reason(error)})") from error
    return tensors


def reason(error: BaseException) -> str:
    """Say in a few words why a file of tensors can't be read.

    What unpicklers say of a file that is cut short or is none (`101`, `EOFError`) tells nobody anything.
    """
    if isinstance(error, pickle.UnpicklingError):
        return "it holds other things than tensors, or is no such file"
    if isinstance(error, EOFError | LookupError | struct.error):
        return "it is cut short, or no such file"
    return "it nests too deep" if isinstance(error, RecursionError) else sentence(error)


def read_content(file: Path) -> Any:
    """Return what a file holds: tensors and plain values as they are, inert objects for everything else.

    Their attributes are in `attributes`. Whatever an archive raises comes through.
    """
    with file.open("rb") as stream:
        start = stream.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and length < file.stat().st_size:
        from safetensors.torch import load_file

        return load_file(file)
    if start[:2] == b"PK":
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
            if unpacked > MOST_UNPACKED * file.stat().st_size + SLACK:
                raise VitvisError(
                    f"weights={file}: unpacks to {unpacked} bytes, more than {MOST_UNPACKED} times its size"
                )
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):  # TorchScript
                return _read_inert(archive)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if start[:2] == b"PK":
            with zipfile.ZipFile(file) as archive:
                return _read_inert(archive)
        raise VitvisError(
            f"weights={file}: an old kind of file that holds Python objects besides tensors, which are never loaded; "
            "open it in the program that made it and save model.state_dict()"
        ) from error


class _Inert(dict[Any, Any]):
    """Stands for an object of any class: keeps its items and attributes, and does nothing."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__()
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)  # (attributes, slots)
        self.attributes = {str(key): value for part in parts if isinstance(part, dict) for key, value in part.items()}

    def append(self, item: Any) -> None:
        """Take an item of a list, and forget it."""

    def extend(self, items: Any) -> None:
        """Take items of a list, and forget them."""

    def add(self, item: Any) -> None:
        """Take an item of a set, and forget it."""


_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def _rebuild_tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return torch.as_strided(storage, size, stride, offset)  # torch checks that it lies within the storage


def _first(tensor: Any, *_: Any) -> Any:
    return tensor


class _TensorsOnly(pickle.Unpickler):
    """Puts tensors together; every name but the ones here becomes `_Inert`."""

    _KNOWN: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "set"): set,
        ("torch", "Size"): tuple,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _first,
        ("torch._utils", "_rebuild_parameter_with_state"): _first,
    }

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self._archive = archive
        self._root = root
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return self._KNOWN.get((module, name), _Inert)

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, count = pid
        if not isinstance(dtype, torch.dtype):
            raise ValueError("a storage of an unknown type")
        if str(key) not in self._storages:
            content = bytearray(self._archive.read(f"{self._root}/data/{key}"))
            whole = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
            self._storages[str(key)] = whole[:count]
        return self._storages[str(key)]


def _read_inert(archive: zipfile.ZipFile) -> Any:
    root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")
    order = f"{root}/byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise ValueError("written on a machine with another byte order")
    return _TensorsOnly(archive, root).load()


def _find_state(content: Any, file: Path) -> dict[str, Tensor]:
    """Take the wrappers of trainers off, down to the tensors."""
    for _ in range(DEEPEST):
        if isinstance(content, _Inert) and content.attributes:
            state = dict(_module_state(content, "", 0))
            if state:
                return state
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
            break
        content = inner
    else:
        raise VitvisError(f"weights={file}: dictionaries within dictionaries, more than {DEEPEST} deep")
    raise VitvisError(f"weights={file}: holds no weights; expected a dictionary of tensors")


def _module_state(module: _Inert, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a pickled `nn.Module`, or of a TorchScript object, whose attributes are all in one place."""
    if depth > DEEPEST:
        raise ValueError(f"modules within modules, more than {DEEPEST} deep")
    found = dict(module.attributes)
    for group in ("_parameters", "_buffers", "_modules"):
        held = found.pop(group, None)
        found.update({str(key): value for key, value in held.items()} if isinstance(held, dict) else {})
    passing = found.get("_non_persistent_buffers_set")
    for name, value in found.items():
        if isinstance(value, Tensor) and not (isinstance(passing, set) and name in passing):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Inert):
            yield from _module_state(value, f"{prefix}{name}.", depth + 1)


def _check_size(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse tensors that would fill the memory: a file of a few bytes can hold one number as a million rows."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > MOST_SHARED * file.stat().st_size + SLACK:
        raise VitvisError(f"weights={file}: its tensors take {size} bytes, more than {MOST_SHARED} times the file")
