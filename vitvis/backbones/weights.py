"""Read weight files, fit them to a model, and give them a name."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitvis.errors import VitvisError

__all__ = ["classes_in", "fit_to_model", "identify", "load_into", "read_weights"]

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "teacher", "net", "backbone")
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.", "encoder.", "teacher.")


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a safetensors or weights-only PyTorch file.

    Raises:
        VitvisError: no such file, or not a file of weights.
    """
    if not file.is_file():
        raise VitvisError(f"weights={file}: no such file; use a .safetensors or .pth file, hub or none")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise VitvisError(
            f"weights={file}: not a weights-only file (it holds other Python objects); save model.state_dict() alone"
        ) from error
    except Exception as error:  # noqa: BLE001  # broken archives raise many types
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise VitvisError(f"weights={file}: can't be read as weights ({reason})") from error
    return _unwrap(content, file)


def _unwrap(content: Any, file: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            if tensors:
                return tensors
            break
        content = inner
    raise VitvisError(f"weights={file}: holds no weights; expected a dictionary of tensors")


def classes_in(name: str, state: Mapping[str, Tensor]) -> int | None:
    """Number of classes of a checkpoint, by the classifier's weight; 0 if it has none; None if that can't be told."""
    import timm

    if ":" in name:
        return None
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    classifier = cfg.classifier if cfg is not None else None
    if not classifier:
        return None
    first = classifier if isinstance(classifier, str) else classifier[0]
    stripped = _strip(state, None)
    weight = stripped.get(f"{first}.weight")
    if weight is not None:
        return int(weight.shape[0])
    original = (
        "head.weight",
        "fc.weight",
        "classifier.weight",
        "head.fc.weight",
    )  # other projects' names, converted later
    return None if any(key in stripped for key in original) else 0


def _strip(state: Mapping[str, Tensor], wanted: set[str] | None) -> dict[str, Tensor]:
    """Drop prefixes that all keys share, or, given the wanted keys, those that make more keys fit."""
    current = dict(state)
    changed = True
    while changed:
        changed = False
        for prefix in _PREFIXES:
            hits = [key for key in current if key.startswith(prefix)]
            if not hits:
                continue
            stripped = {key.removeprefix(prefix): value for key, value in current.items() if key in set(hits)}
            if wanted is None:
                better = len(hits) == len(current)
            else:
                fit = len(wanted & current.keys())
                better = len(wanted & stripped.keys()) > fit or (fit == 0 and len(hits) == len(current))
            if better:
                current, changed = stripped, True
                break
    return current


def fit_to_model(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring a checkpoint into the model's own form: prefixes off, timm's conversions (names, image size) applied."""
    wanted = set(model.state_dict())
    state = _strip(state, wanted)
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    own = model.state_dict()
    if wanted <= state.keys() and all(state[key].shape == own[key].shape for key in wanted):
        return {key: state[key] for key in wanted}
    import importlib

    convert = getattr(importlib.import_module(type(model).__module__), "checkpoint_filter_fn", None)
    if convert is not None:
        try:
            converted = convert(dict(state), model)
        except Exception:  # noqa: BLE001  # a checkpoint of another model; the mismatch is reported by load_into
            return state
        return dict(converted)
    return state


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def load_into(model: nn.Module, state: dict[str, Tensor], name: str, file: Path) -> None:
    """Load a checkpoint, whole or not at all.

    Raises:
        VitvisError: keys are missing or shapes differ; names the first of them.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in state]
    wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
    if missing:
        raise VitvisError(
            f"weights={file} do not fit {name}: {len(missing)} of {len(own)} tensors are missing ({_some(missing)}); "
            f"the file starts with {_some(list(state))}"
        )
    if wrong:
        key = wrong[0]
        raise VitvisError(
            f"weights={file} do not fit {name}: {key} is {list(state[key].shape)} in the file and "
            f"{list(own[key].shape)} in the model ({len(wrong)} tensors differ); check the model's name and image_size"
        )
    model.load_state_dict({key: state[key] for key in own})


def identify(model: nn.Module) -> str:
    """Name weights by content: 12 hexadecimal digits of the SHA-256 of the state dict (keys, shapes, float32 bytes)."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key}{list(value.shape)}".encode())
        flat = value.detach().cpu().contiguous()
        digest.update(memoryview((flat.float() if flat.is_floating_point() else flat).numpy().reshape(-1)).cast("B"))
    return digest.hexdigest()[:12]
