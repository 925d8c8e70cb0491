"""Read dictionaries of any library from files, safely: tensors and plain values, and nothing of a file is ever run.

| written by | what |
| --- | --- |
| SAELens | a folder with `cfg.json` and `sae_weights.safetensors` |
| ViT-Prisma | `.pt` with `cfg` and `state_dict`, or weights with a `config.json` beside them |
| saev | `sae.pt`: a line of JSON, then a state dict |
| overcomplete | `torch.save` of a whole SAE (nothing of the pickle is run), or its state dict and a `.json` |
| vitvis | safetensors with `weight` or `W_enc`, and its settings in the file's header or a `.json` beside it |
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitvis.errors import VitvisError, nearest

from .archives import read_content, read_tensors, reason
from .dictionary import NORMALIZATIONS, Dictionary

__all__ = ["is_dictionary", "read_dictionary"]

_WEIGHTS = ("sae_weights.safetensors", "weights.safetensors", "sae.safetensors", "sae.pt", "weights.pt")
_CONFIGS = ("cfg.json", "config.json")
_LARGEST_HEADER = 2**24
_STANDARD = ("standard", "vanilla", "relu", "transcoder", "skip_transcoder", "sae", "crosscoder")
_ARCHITECTURES = (
    *_STANDARD,
    "topk",
    "batchtopk",
    "matryoshka_batchtopk",
    "matryoshka",
    "jumprelu",
    "gated",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)


def is_dictionary(file: str) -> bool:
    """Say whether what lies at a path is a dictionary, and not a file of plain directions (one matrix)."""
    path = Path(file).expanduser()
    if path.suffix == ".npy" or not path.exists():
        return False
    if path.suffix == ".safetensors":
        try:
            return len(_safetensors_header(path)) > 1
        except (OSError, ValueError):
            return False
    return True


def read_dictionary(file: str | Path) -> Dictionary:
    """Read a dictionary; what it is, is told by the content.

    Raises:
        VitvisError: nothing is there, it is none, it needs what there is not here, or it is damaged; one line.
    """
    path = Path(file).expanduser()
    if not path.exists():
        raise VitvisError(f"dictionary '{file}': no such file or folder")
    weights, config = _find(path)
    stamps = tuple(part.stat().st_mtime_ns for part in (weights, config) if part is not None)
    return _read(str(weights), None if config is None else str(config), stamps)


def _find(path: Path) -> tuple[Path, Path | None]:
    """Return the file of weights and, where there is one, the file that describes them."""
    if path.is_dir():
        found = [path / name for name in _WEIGHTS if (path / name).is_file()]
        if not found:
            found = sorted(item for item in path.iterdir() if item.suffix in (".safetensors", ".pt", ".pth"))
        if len(found) != 1 and not (found and found[0].name in _WEIGHTS):
            what = "no file of weights" if not found else f"{len(found)} files of weights; name one"
            raise VitvisError(f"dictionary '{path}': the folder holds {what} (such as {_WEIGHTS[0]})")
        weights, folder = found[0], path
    else:
        weights, folder = path, path.parent
    own = weights.with_suffix(".json")
    beside = [folder / name for name in _CONFIGS]  # of ViT-Prisma, for all checkpoints of a folder
    return weights, next((item for item in [own, *beside] if item.is_file()), None)


@functools.lru_cache(maxsize=4)
def _read(weights: str, config: str | None, stamps: tuple[int, ...]) -> Dictionary:
    path = Path(weights)
    try:
        content = hashlib.sha256(path.read_bytes())
        tensors, settings, kind = _open(path)
        if config is not None:
            text = Path(config).read_text(encoding="utf-8")
            content.update(text.encode())
            settings = {**settings, **_mapping(json.loads(text))}
        made = _make(tensors, settings, kind)
    except VitvisError as error:
        raise VitvisError(f"dictionary '{weights}': {str(error).removeprefix(f'weights={weights}: ')}") from error
    except Exception as error:  # noqa: BLE001  # broken files raise many types
        raise VitvisError(f"dictionary '{weights}': can't be read ({reason(error)})") from error
    wrong = _problem(made)
    if wrong:
        raise VitvisError(f"dictionary '{weights}': {wrong}")
    return Dictionary(**{**_fields(made), "digest": content.hexdigest()[:12]})


def _problem(made: Dictionary) -> str:
    """Say what of a dictionary can't be, whoever wrote it; "" for nothing. Only thresholds may be infinite."""
    inputs, width = made.weight.shape
    if not inputs or not width:
        return f"its weight is {inputs} by {width}: no latents"
    shapes = {"bias": (width,), "threshold": (width,), "shift": (inputs,)}
    for name in ("weight", *shapes, "decoder"):
        value = getattr(made, name)
        if value is None:
            continue
        if tuple(value.shape) != shapes.get(name, tuple(value.shape)):
            return f"its {name} has the shape {list(value.shape)}, not {list(shapes[name])}"
        if value.isnan().any() or name != "threshold" and value.isinf().any():
            return f"holds NaN or infinite numbers in its {name}"
    if made.k is not None and not 1 <= made.k <= width:
        return f"k={made.k}: has to be 1 to {width}, the number of latents"
    return ""


def _whole(value: Any, name: str) -> int:
    """Return a whole number that a file names.

    Raises:
        VitvisError: it is none.
    """
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.5
    if not number.is_integer():
        raise VitvisError(f"{name}={value}: has to be a whole number of latents")
    return int(number)


def _fields(made: Dictionary) -> dict[str, Any]:
    return {name: value for name, value in vars(made).items() if name != "_placed"}


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise VitvisError("the JSON that describes it is no object")
    return dict(value)


# -- containers ---------------------------------------------------------------------------------


def _open(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Return tensors, settings and the library that wrote them."""
    with path.open("rb") as stream:
        start = stream.read(9)
        if start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
            header = _safetensors_header(path, whole=True)
            return read_tensors(path), _header_settings(header.get("__metadata__")), "safetensors"
        if start[:1] == b"{":  # saev: a line of JSON, then what torch.save has written
            stream.seek(0)
            line = stream.readline(_LARGEST_HEADER)
            state = torch.load(io.BytesIO(stream.read()), map_location="cpu", weights_only=True)
            return _tensors_of(state), _saev_settings(_mapping(json.loads(line))), "saev"
    content = read_content(path)
    settings = _plain(content.get("cfg", content.get("config")) if isinstance(content, Mapping) else None)
    whole = _plain(content)
    return read_tensors(path), {**whole, **settings}, "pickle"


def _safetensors_header(path: Path, *, whole: bool = False) -> dict[str, Any]:
    """Return the header of a safetensors file: what tensors it holds; `whole`: and its metadata."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(_LARGEST_HEADER, path.stat().st_size):
            raise ValueError("no safetensors file")
        header = _mapping(json.loads(stream.read(length)))
    return header if whole else {name: value for name, value in header.items() if name != "__metadata__"}


def _header_settings(metadata: Any) -> dict[str, Any]:
    """Read the text values of a safetensors header: JSON where they are, else as they stand."""
    found: dict[str, Any] = {}
    for name, text in (metadata or {}).items():
        try:
            found[str(name)] = json.loads(text)
        except (TypeError, ValueError):
            found[str(name)] = text
    return found


def _plain(value: Any) -> dict[str, Any]:
    """Return numbers, texts and the like of a dictionary or of an inert object that stands for one of some class."""
    attributes = getattr(value, "attributes", None)
    items = attributes if isinstance(attributes, dict) and attributes else value if isinstance(value, Mapping) else {}
    return {str(key): item for key, item in items.items() if isinstance(item, str | int | float | bool | dict | Tensor)}


def _tensors_of(state: Any) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        raise VitvisError("holds no dictionary of tensors")
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def _saev_settings(header: dict[str, Any]) -> dict[str, Any]:
    """Return what a saev file says (schemas none, 1 and 2 of its `modeling.load`), in our words."""
    schema = header.get("schema")
    config = _mapping(header.get("cfg", header))
    activation = config.get("activation")
    name, numbers = "Relu", config
    if isinstance(activation, Mapping):
        name, numbers = str(activation.get("cls", "Relu")), _mapping(activation.get("params", {}))
    elif header.get("cls") in ("TopK", "BatchTopK"):
        name = str(header["cls"])
    found: dict[str, Any] = {"architecture": "standard", "apply_b_dec_to_input": schema in (None, 1)}
    if name in ("TopK", "BatchTopK"):  # saev's BatchTopK takes k of each sample, too
        found |= {"architecture": "topk", "k": _whole(numbers.get("top_k", 32), "top_k"), "positive": False}
    elif name != "Relu":
        raise VitvisError(f"saev's activation {name} isn't known here (Relu, TopK, BatchTopK are)")
    return found


# -- what the numbers mean ----------------------------------------------------------------------


def _make(tensors: Mapping[str, Tensor], settings: Mapping[str, Any], kind: str) -> Dictionary:
    tensors = {
        name.removeprefix("sae.").removeprefix("module."): value.float()
        for name, value in tensors.items()
        if value.is_floating_point()
    }
    if any(name.startswith("encoder.final_block.") for name in tensors):
        return _from_overcomplete(tensors, settings)
    return _from_matrices(tensors, settings, kind)


def _from_matrices(tensors: Mapping[str, Tensor], settings: Mapping[str, Any], kind: str) -> Dictionary:
    """Read `W_enc, b_enc, W_dec, b_dec` and what goes with them: SAELens, ViT-Prisma, saev and our own layout."""
    weight = _first(tensors, "W_enc", "weight", "encoder.weight")
    if weight is None or weight.ndim != 2:
        names = ", ".join(list(tensors)[:6]) or "none"
        raise VitvisError(f"has no encoder weight W_enc [D, K] (its tensors: {names})")
    if "W_enc" not in tensors:  # as in nn.Linear
        weight = weight.T
    inputs, width = weight.shape
    bias = _vector(tensors, width, "b_enc", "bias", "encoder.bias")
    architecture = str(settings.get("architecture") or ("topk" if "k" in settings else "standard")).lower()
    if architecture not in _ARCHITECTURES:
        raise VitvisError(
            f"architecture '{architecture}' can't be read{nearest(architecture, _ARCHITECTURES)} "
            f"(known: {', '.join(_ARCHITECTURES)})"
        )
    k, positive, threshold = None, bool(settings.get("positive", True)), torch.zeros(width)
    activation = str(settings.get("activation_fn_str") or settings.get("activation_fn") or "relu").lower()
    if architecture in ("topk", "batchtopk", "matryoshka", "matryoshka_batchtopk") and "threshold" not in tensors:
        k = settings.get("k")
    elif activation == "topk":
        k = _mapping(settings.get("activation_fn_kwargs") or {}).get("k", settings.get("k"))
    elif activation != "relu":
        raise VitvisError(f"activation function '{activation}' can't be read (known: relu, topk)")
    if (architecture in ("topk", "batchtopk") or activation == "topk") and k is None and "threshold" not in tensors:
        raise VitvisError('does not say how many latents are on: put {"k": N} into a .json of its name beside it')
    decoder = _first(tensors, "W_dec", "decoder", "decoder.weight")
    if decoder is not None and decoder.shape[0] != width:
        decoder = decoder.T if decoder.ndim == 2 and decoder.shape[1] == width else None
    if "threshold" in tensors or "log_threshold" in tensors:
        given = tensors["threshold"] if "threshold" in tensors else tensors["log_threshold"].exp()
        threshold = _spread(given, width).clamp(min=0)
    elif "jumprelu" in architecture:
        raise VitvisError("is a JumpReLU dictionary without a tensor 'threshold'")
    if "b_gate" in tensors:  # a gate of h + b_gate > 0, magnitudes relu(h * exp(r_mag) + b_mag)
        gain = _vector(tensors, width, "r_mag").exp()
        bias = _vector(tensors, width, "b_mag")
        threshold = (bias - _vector(tensors, width, "b_gate") * gain).clamp(min=0)
        weight = weight * gain
    elif architecture == "gated":
        raise VitvisError("is a gated dictionary without a tensor 'b_gate'")
    if settings.get("rescale_acts_by_decoder_norm") and decoder is not None:
        length = decoder.norm(dim=-1)
        weight, bias = weight * length, bias * length
    if not positive:
        threshold = torch.full((width,), -torch.inf)
    return Dictionary(
        weight=weight.contiguous(),
        bias=bias,
        threshold=threshold,
        shift=_shift(tensors, settings, inputs, kind),
        normalize=_normalization(settings),
        k=None if k is None else _whole(k, "k"),
        decoder=decoder,
        about={"format": kind, "architecture": architecture},
    )


def _normalization(settings: Mapping[str, Any]) -> str:
    found = settings.get("normalize_activations") or "none"
    found = "none" if found is True or found == "none" else str(found)
    if found not in NORMALIZATIONS:
        raise VitvisError(
            f"normalize_activations={found} can't be read (known: {', '.join(NORMALIZATIONS)}); fold it into the "
            "weights first, as SAELens' fold_activation_norm_scaling_factor does"
        )
    return found


def _shift(tensors: Mapping[str, Tensor], settings: Mapping[str, Any], inputs: int, kind: str) -> Tensor | None:
    """Return what is taken from the input: the decoder's bias, where the settings say so or the library always does."""
    if "shift" in tensors:
        return tensors["shift"]
    transcoder = "transcoder" in str(settings.get("architecture", "")) or settings.get("is_transcoder") is True
    asked = settings.get("apply_b_dec_to_input", not transcoder or kind == "pickle")
    bias = tensors.get("b_dec")
    return bias if asked and bias is not None and bias.shape == (inputs,) else None


def _from_overcomplete(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Dictionary:
    """Read an SAE of overcomplete: a linear layer, a batch norm that is folded into it, and the class's own step."""
    if any(name.startswith("encoder.mlp_blocks.") for name in tensors):
        raise VitvisError("its encoder has hidden layers, so its latents are no directions; such aren't read")
    weight = tensors["encoder.final_block.0.weight"].T
    width = weight.shape[1]
    bias = _vector(tensors, width, "encoder.final_block.0.bias")
    if "encoder.final_block.1.running_mean" in tensors:
        scale = (tensors["encoder.final_block.1.running_var"] + float(settings.get("eps", 1e-5))).rsqrt()
        scale = scale * tensors.get("encoder.final_block.1.weight", torch.ones(width))
        bias = (bias - tensors["encoder.final_block.1.running_mean"]) * scale
        bias = bias + _vector(tensors, width, "encoder.final_block.1.bias")
        weight = weight * scale
    elif "encoder.final_block.1.weight" in tensors:
        raise VitvisError("its encoder ends in a layer norm over the latents, which can't be read; batch norms are")
    threshold, k = torch.zeros(width), None
    running = settings.get("running_threshold", tensors.get("running_threshold"))
    if "thresholds" in tensors:
        threshold = tensors["thresholds"].exp()
        threshold = torch.nextafter(threshold, torch.zeros(()))  # on at the threshold itself
    elif running is not None:
        threshold = _spread(torch.as_tensor(running).float(), width)
        threshold = torch.nextafter(threshold, torch.zeros(())).clamp(min=0)
    elif settings.get("top_k", settings.get("k")) is not None:
        k = _whole(settings.get("top_k", settings.get("k")), "top_k")
    elif settings.get("architecture") not in ("relu", "standard") and "nb_concepts" not in settings:  # no whole SAE
        raise VitvisError(
            'a state dict of overcomplete does not say what kind of SAE it is: put {"top_k": N}, {"running_threshold": '
            'T} or {"architecture": "relu"} into a .json of its name beside it, or torch.save the whole SAE'
        )
    return Dictionary(
        weight=weight.contiguous(),
        bias=bias,
        threshold=threshold.clone(),
        k=k,
        about={"format": "overcomplete", "architecture": "topk" if k else "jumprelu"},
    )


def _first(tensors: Mapping[str, Tensor], *names: str) -> Tensor | None:
    return next((tensors[name] for name in names if name in tensors), None)


def _spread(threshold: Tensor, width: int) -> Tensor:
    """Return one threshold for all latents, or one for each, as `[K]`."""
    flat = threshold.reshape(-1)
    return flat.repeat(width) if len(flat) == 1 else flat.clone()


def _vector(tensors: Mapping[str, Tensor], width: int, *names: str) -> Tensor:
    """Return the first of some vectors that is there, else zeros."""
    found = _first(tensors, *names)
    if found is None:
        return torch.zeros(width)
    if found.shape != (width,):
        raise VitvisError(f"{names[0]} has the shape {list(found.shape)}, not [{width}]")
    return found
