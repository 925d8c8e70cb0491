"""Fit the tensors of a file to a model: all of them, or an error that says which are left over or missing."""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from vitvis.errors import VitvisError

__all__ = ["LEFT_OUT", "classes_in", "fit_to_model", "identify", "load_into"]

# what trainers and compilers put before a name, where the names behind it are not the model's own
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.", "encoder.", "teacher.")
# of several copies of a model in one file, the first of these is taken: averages, then what was trained
_COPIES = re.compile(r"ema|average|swa|teacher")
_CLASSIFIERS = ("head", "fc", "classifier", "head_dist", "head.fc", "last_linear")

#: What a file may hold beyond the model's own tensors; all that is left out is said in a warning.
LEFT_OUT: tuple[tuple[str, str], ...] = (
    (
        "computed by the model itself",
        r"(^|\.)(num_batches_tracked|relative_position_index|relative_coords_table|attn_mask|position_ids|rel_pos_index"
        r"|k_index|periods|inv_freq|total_ops|total_params)$",
    ),
    ("the text tower", r"^(text_model\.|text_projection|logit_scale$|logit_bias$)"),
    ("used in pretraining only", r"^(mask_token$|decoder[._]|lm_head\.|pre_logits\.)"),
)


def classes_in(name: str, state: Mapping[str, Tensor]) -> int | None:
    """Number of classes of a checkpoint, by the classifier's weight; 0 if it has none; None if that can't be told."""
    import timm

    if ":" in name:
        return None
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if cfg is None or not cfg.classifier:
        return None
    first = cfg.classifier if isinstance(cfg.classifier, str) else cfg.classifier[0]
    stem = cfg.first_conv if isinstance(cfg.first_conv, str) else (cfg.first_conv or ("",))[0]
    ends = [key for key in state if key == f"{stem}.weight" or key.endswith(f".{stem}.weight")]
    prefix = min(ends, key=len).removesuffix(f"{stem}.weight") if stem and ends else _shared_prefix(state)
    weight = state.get(f"{prefix}{first}.weight")
    if weight is not None:
        return int(weight.shape[0])
    if any(f"{prefix}{other}.weight" in state for other in _CLASSIFIERS):  # other projects' names, converted later
        return None
    return 0


def fit_to_model(model: nn.Module, state: Mapping[str, Tensor], convert: Callable | None = None) -> dict[str, Tensor]:
    """Bring a checkpoint into the model's own form.

    Names are sorted by what the model has: the prefix under which most of the model's tensors are found goes, and what
    lies beside it (a loss, a counter of averages, a second copy) keeps its own name. Where that does not do, timm's
    own conversion (names of other projects, image sizes) comes next.

    Args:
        model: to load into.
        state: of the file.
        convert: what to convert with; None: the `checkpoint_filter_fn` of the model's own module in timm.

    Returns:
        Tensors by name; `load_into` checks them.
    """
    own = model.state_dict()
    prefix = _best_prefix(own, state)
    state = _sorted(state, _shared_prefix(state) if prefix is None else prefix)
    if all(key in state and state[key].shape == value.shape for key, value in own.items()):
        return state
    if convert is None:
        convert = getattr(sys.modules.get(type(model).__module__), "checkpoint_filter_fn", None)
    if convert is None:
        return state
    inside = {key: value for key, value in state.items() if not key.startswith(_BESIDE)}
    beside = {key: value for key, value in state.items() if key.startswith(_BESIDE)}
    try:
        return {**convert(inside, model), **beside}
    except Exception:  # noqa: BLE001  # a checkpoint of another model; the mismatch is reported by load_into
        return state


_BESIDE = "beside the model: "  # marks names outside of the model's prefix; no module's name has a blank


def _sorted(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take a prefix off, and mark the names that do not have it."""
    return {
        key.removeprefix(prefix) if key.startswith(prefix) else _BESIDE + key: (
            value.float() if value.is_floating_point() else value
        )
        for key, value in state.items()
    }


def _best_prefix(own: Iterable[str], state: Iterable[str]) -> str | None:
    """The prefix under which most of a model's names are found, or None where hardly any are (names of others)."""
    wanted = set(own)
    votes: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                votes["".join(f"{part}." for part in parts[:start])] += 1
    most = max(votes.values(), default=0)
    if most < 0.25 * len(wanted):
        return None
    best = [prefix for prefix, count in votes.items() if count == most]
    return next((prefix for prefix in best if _COPIES.search(prefix)), min(best, key=len))


def _shared_prefix(state: Iterable[str]) -> str:
    """The prefixes of trainers that nearly all names share."""
    keys, prefix = list(state), ""
    while True:
        inside = [key for key in keys if key.startswith(prefix)]
        more = next((p for p in _PREFIXES if sum(k.startswith(prefix + p) for k in inside) > 0.9 * len(keys)), None)
        if more is None:
            return prefix
        prefix += more


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _reason(key: str, own: Mapping[str, Tensor]) -> str | None:
    """Why a tensor of the file may be left out, or None."""
    if key.startswith(_BESIDE):
        return "not under the model's own prefix"
    for reason, pattern in LEFT_OUT:
        if re.search(pattern, key):
            return reason
    owner = key.rpartition(".")[0]
    if owner in _CLASSIFIERS and not any(f"{name}.weight" in own for name in _CLASSIFIERS):
        return "no classifier is wanted"
    return None


def load_into(model: nn.Module, state: Mapping[str, Tensor], name: str, file: Path) -> None:
    """Load a checkpoint, whole or not at all.

    Raises:
        VitvisError: names are missing or left over, or shapes differ; names the first of them.
    """
    own = model.state_dict()
    computed = re.compile(LEFT_OUT[0][1])
    missing = [key for key in own if key not in state and not computed.search(key)]
    wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
    if missing:
        raise VitvisError(
            f"weights={file} do not fit {name}: {len(missing)} of {len(own)} tensors are missing ({_some(missing)}); "
            f"the file starts with {_some([key.removeprefix(_BESIDE) for key in state])}"
        )
    if wrong:
        key = wrong[0]
        raise VitvisError(
            f"weights={file} do not fit {name}: {key} is {list(state[key].shape)} in the file and "
            f"{list(own[key].shape)} in the model ({len(wrong)} tensors differ); check the model's name and image_size"
        )
    reasons: dict[str, list[str]] = {}
    for key in state:
        if key not in own:
            reasons.setdefault(_reason(key, own) or "", []).append(key.removeprefix(_BESIDE))
    if "" in reasons:
        over = reasons[""]
        raise VitvisError(
            f"weights={file} do not fit {name}: {len(over)} tensors of the file are left over ({_some(over)}); "
            "they are of another model, or of a larger one"
        )
    if reasons:
        said = "; ".join(f"{_some(keys)} ({reason})" for reason, keys in reasons.items())
        warnings.warn(f"weights={file}: left out of {name}: {said}", stacklevel=4)
    model.load_state_dict({key: state.get(key, own[key]) for key in own})


def identify(model: nn.Module) -> str:
    """Name weights by content: 12 hexadecimal digits of the SHA-256 of the state dict (keys, shapes, float32 bytes)."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key}{list(value.shape)}".encode())
        flat = value.detach().cpu().contiguous()
        digest.update(memoryview((flat.float() if flat.is_floating_point() else flat).numpy().reshape(-1)).cast("B"))
    return digest.hexdigest()[:12]
