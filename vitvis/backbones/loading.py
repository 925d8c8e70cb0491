"""The front door: any timm model by name, with weights from the hub, a file, this package, or none."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitvis.config.sizes import read_image_size
from vitvis.errors import VitvisError, nearest

from .archives import read_tensors
from .backbone import Backbone
from .modules import PREFIX as OWN
from .modules import call_function, wrap_module
from .neutral import neutral, own_randomness
from .weights import classes_in, fit_to_model, identify, load_into

__all__ = ["load_backbone"]

#: What says in a model's name how many channels it takes.
CHANNELS = "+in_chans="
_MOST_CHANNELS = 256
_HUB_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _bundled_names() -> list[str]:
    """Names of the models that come with this package."""
    return list(getattr(importlib.import_module("vitvis.bundled"), "BUNDLED", {}))


def check_name(name: str) -> None:
    """Find out whether a model is known, without making it; one of open_clip, only where that is installed.

    Raises:
        VitvisError: it is not; names the nearest that is.
    """
    import timm

    if CHANNELS in name:
        name, _ = _split_channels(name)
    if name.startswith("open_clip:"):
        from vitvis.backbones.openclip import check_open_clip_name

        if find_spec("open_clip") is not None:
            check_open_clip_name(name)
        return
    if name.startswith(_HUB_PREFIXES) or name in _bundled_names():
        return
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        hint = nearest(name, timm.list_models() + _bundled_names()) or ";"
        raise VitvisError(
            f"no model '{name}' in timm {timm.__version__}{hint} list them with timm.list_models('*vit*')"
        )
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        hint = nearest(tag, tags) or ";"
        raise VitvisError(f"no weights '{tag}' of {architecture} in timm{hint} tags: {', '.join(tags[:6]) or 'none'}")


def _create(name: str, image_size: tuple[int, int] | None, kwargs: dict[str, Any]) -> nn.Module:
    """Build a timm model with random weights, at another image size where it has one built in."""
    import timm

    if image_size is not None:
        size: int | tuple[int, int] = image_size[0] if image_size[0] == image_size[1] else image_size
        try:
            return timm.create_model(name, pretrained=False, img_size=size, **kwargs)
        except TypeError as error:
            if "img_size" not in str(error):  # convolutional models take any size and no such argument
                raise VitvisError(f"model {name}: {error}") from error
        except (AssertionError, ValueError, RuntimeError) as error:
            raise VitvisError(
                f"model {name} can't be built for {image_size[0]} x {image_size[1]} px: {error}"
            ) from error
    try:
        return timm.create_model(name, pretrained=False, **kwargs)
    except TypeError as error:
        raise VitvisError(f"model {name}: {error}") from error


def load_backbone(
    name: str | nn.Module,
    weights: str | Path = "hub",
    image_size: int | str | Sequence[int] | None = None,
    *,
    seed: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    **timm_kwargs: Any,
) -> Backbone:
    """Load a model, frozen and in eval mode, that takes images in [0, 1].

    Args:
        name: any timm model (`vit_base_patch16_224`, `hf-hub:owner/name`, `local-dir:PATH`), a bundled one, one of
            open_clip (`open_clip:ViT-B-32`, with `weights` a file, `none`, or one of its pretrained tags), one of
            transformers (`hf:OWNER/NAME`, `hf:FOLDER`, `hf:NAME#vision_tower`), what a function of yours returns
            (`python:package.module:function`), or an `nn.Module`, which is frozen in place.
        weights: `hub` (timm's own cache and offline switches are honoured), `none` (random weights, with a warning),
            a safetensors or weights-only `.pth` file, or, for the bundled models, `bundled` (or `hub`).
        image_size: pixels, one side or (rows, columns); None: the model's own.
        seed: of random weights. The caller's random streams are left alone.
        mean: of the normalisation, for a module of your own; None: 0.
        std: of the normalisation, for a module of your own; None: 1.
        timm_kwargs: go to `timm.create_model`; `in_chans`, also as `NAME+in_chans=6`, is the number of channels.

    Returns:
        The backbone; call it like any `nn.Module`.

    Raises:
        VitvisError: unknown model, no network, wrong or unfitting file, impossible size; one line that says what to do.
    """
    size = read_image_size(image_size)
    if isinstance(name, str) and CHANNELS in name:
        name, channels = _split_channels(name)
        timm_kwargs["in_chans"] = channels
    with neutral(), own_randomness(seed):
        if isinstance(name, nn.Module) or name.startswith(OWN):
            return _load_own(name, str(weights), size, mean, std, timm_kwargs.get("in_chans"))
        if mean is not None or std is not None:
            raise VitvisError(f"mean and std are for modules of your own; {name} has its own")
        return _load(name, str(weights), size, timm_kwargs)


def _load_own(
    given: str | nn.Module,
    weights: str,
    size: tuple[int, int] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channels: int | None = None,
) -> Backbone:
    """Load a module of the user's own, as it is or with the weights of a file."""
    model, facts = call_function(given) if isinstance(given, str) else (given, {})
    name = given if isinstance(given, str) else type(given).__name__
    weights = "hub" if weights == "own" else weights  # as a run that was made of it says
    if weights not in ("hub", "none"):
        file = Path(weights).expanduser()
        load_into(model, fit_to_model(model, read_tensors(file)), name, file)
    _keep_inputs(model)
    if channels is not None:
        facts["in_chans"] = channels
        name += f"{CHANNELS}{channels}"
    facts["image_size"] = size or read_image_size(facts.get("image_size"))
    facts.update({key: value for key, value in (("mean", mean), ("std", std)) if value is not None})
    backbone = wrap_module(model, name, "own" if weights == "hub" else weights, **facts)
    _check_finite(model, name, backbone.weights)
    return backbone


def _keep_inputs(model: nn.Module) -> None:
    """Switch in-place activations off, which would overwrite what a tap has read."""
    for module in model.modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False  # type: ignore[assignment]


def _split_channels(name: str) -> tuple[str, int]:
    """Take `NAME+in_chans=6` apart."""
    base, _, number = name.partition(CHANNELS)
    if not number.isdigit() or not 1 <= int(number) <= _MOST_CHANNELS:
        raise VitvisError(f"model {name}: write {base}{CHANNELS}N with N from 1 to {_MOST_CHANNELS}")
    if base.startswith(("hf:", "open_clip:")) or base in _bundled_names():
        raise VitvisError(
            f"model {name}: {base} takes RGB images; in_chans is for timm's models and modules of your own"
        )
    return base, int(number)


def _load(name: str, weights: str, size: tuple[int, int] | None, timm_kwargs: dict[str, Any]) -> Backbone:
    if name.startswith("open_clip:"):
        from .openclip import load_open_clip

        return load_open_clip(name, weights, size)
    if name.startswith("hf:"):
        from .huggingface import load_hugging_face

        return load_hugging_face(name, weights, size)
    bundled = name in _bundled_names()
    if not bundled:
        if weights == "bundled":
            raise VitvisError(f"no bundled model '{name}'; bundled: {', '.join(_bundled_names()) or 'none'}")
        check_name(name)
        folder = Path(name.removeprefix("local-dir:")).expanduser()
        if name.startswith("local-dir:") and not (folder / "config.json").is_file():
            raise VitvisError(f"model {name}: there is no config.json in {folder}")
    file = Path(weights).expanduser() if weights not in ("hub", "none", "bundled") else None
    state = read_tensors(file) if file is not None else None
    kwargs = dict(timm_kwargs)
    if bundled:
        model = _load_bundled(name, size, weights, kwargs)
    else:
        if state is not None:
            classes = classes_in(name, state)
            if classes is not None:
                kwargs.setdefault("num_classes", classes)
        if weights == "hub":
            model = _load_hub(name, size, kwargs)
        elif name.startswith(_HUB_PREFIXES):
            model = _offline_safe(lambda: _create(name, size, kwargs), name)
        else:
            model = _create(name, size, kwargs)
    if state is not None and file is not None:
        load_into(model, fit_to_model(model, state), name, file)
    if weights == "none":
        warnings.warn(f"{name}: weights=none, so the model is random and its pictures mean nothing", stacklevel=3)
    _keep_inputs(model)
    model.float()
    _check_finite(model, name, weights)
    return _wrap(model, name, weights, size, kwargs)


def _load_bundled(name: str, size: tuple[int, int] | None, weights: str, kwargs: dict[str, Any]) -> nn.Module:
    models = importlib.import_module("vitvis.bundled.models")
    if size is not None:
        kwargs.setdefault("img_size", size[0] if size[0] == size[1] else size)
    if weights not in ("hub", "bundled"):
        kwargs["pretrained"] = False
    load: Callable[..., nn.Module] = models.load_bundled
    try:
        return load(name, **kwargs)
    except TypeError as error:
        if "img_size" in kwargs and "img_size" in str(error):
            kwargs.pop("img_size")
            return load(name, **kwargs)
        raise VitvisError(f"model {name}: {error}") from error


def _offline_safe(build: Any, name: str) -> nn.Module:
    """Run something that may ask the hub, once, and turn its many errors into one line."""
    from .hub import no_retries

    names = ", ".join(_bundled_names()) or "none yet"
    with no_retries():
        try:
            return build()
        except VitvisError:
            raise
        except Exception as error:  # noqa: BLE001  # the hub client raises a dozen unrelated types
            reason = (
                "no network, and not in the local cache" if "LocalEntry" in type(error).__name__ else _first_line(error)
            )
            raise VitvisError(
                f"can't get the weights of {name} from the hub ({reason}); "
                f"use weights=FILE, weights=none, or a bundled model: {names}"
            ) from error


def _load_hub(name: str, size: tuple[int, int] | None, kwargs: dict[str, Any]) -> nn.Module:
    import timm

    if not name.startswith(_HUB_PREFIXES):
        cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
        if cfg is None or not cfg.has_weights:
            tags = [full for full in timm.list_pretrained(f"{name.split('.')[0]}.*")][:4]
            raise VitvisError(
                f"timm has no pretrained weights for {name}; use weights=FILE or weights=none"
                + (f", or one of {', '.join(tags)}" if tags else "")
            )

    def build() -> nn.Module:
        if size is None:
            return timm.create_model(name, pretrained=True, **kwargs)
        try:
            side: int | tuple[int, int] = size[0] if size[0] == size[1] else size
            return timm.create_model(name, pretrained=True, img_size=side, **kwargs)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            return timm.create_model(name, pretrained=True, **kwargs)

    return _offline_safe(build, name)


def _check_finite(model: nn.Module, name: str, weights: str) -> None:
    bad = [key for key, value in model.state_dict().items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise VitvisError(
            f"weights={weights} of {name} hold NaN or infinite numbers in {len(bad)} tensors, first {bad[0]}; "
            "get the file again"
        )


def _wrap(model: nn.Module, name: str, weights: str, size: tuple[int, int] | None, kwargs: dict[str, Any]) -> Backbone:
    from timm.data import resolve_model_data_config

    data = resolve_model_data_config(model)
    channels = int(kwargs.get("in_chans", 3))
    if channels != 3:  # which colour a band is nobody knows: all get the mean of the three
        name += f"{CHANNELS}{channels}"
        data |= {key: (sum(data[key]) / len(data[key]),) * channels for key in ("mean", "std")}
    image_size = size or (int(data["input_size"][1]), int(data["input_size"][2]))
    backbone = Backbone(
        model,
        name=name,
        weights=weights,
        weights_id=identify(model),
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        image_size=image_size,
        class_names=_class_names(model),
        eval_settings={key: data[key] for key in ("crop_pct", "crop_mode", "interpolation")},
    )
    if size is not None:
        _check_size(backbone)
    return backbone


def _check_size(backbone: Backbone) -> None:
    """Fail early, on the meta device, where a model does not take this image size, or leaves a part of it unseen."""
    from .probe import run_probe

    rows, columns = backbone.image_size
    try:
        with torch.no_grad():
            probe = run_probe(backbone.model, backbone.image_size, backbone.channels)
    except Exception as error:  # noqa: BLE001  # assertions, shape errors, ...: all mean that the size does not fit
        own = (getattr(backbone.model, "pretrained_cfg", None) or {}).get("input_size")
        hint = f"; its own size is {own[1]} x {own[2]}" if own else ""
        reason = _first_line(error)
        raise VitvisError(f"{backbone.name} does not take images of {rows} x {columns} px ({reason}){hint}") from error
    modules = dict(backbone.model.named_modules())
    layers = [calls[0] for path, calls in probe.calls.items() if isinstance(modules[path], nn.Conv2d)]
    first: Any = modules[min(layers, key=lambda call: call.started).path] if layers else None
    if first is None or first.kernel_size != first.stride or any(first.padding):
        return
    shape = min(layers, key=lambda call: call.started).input or (0, 0, 0, 0)  # a model may pad before it
    for side, whole, patch in zip((rows, columns), shape[-2:], first.kernel_size, strict=True):
        if whole % patch:
            below = side // patch * patch
            near = f"{below} or {below + patch}" if below else f"{patch}"
            raise VitvisError(
                f"image_size {rows} x {columns}: {backbone.name} cuts images into patches of {patch} px, so {side} px "
                f"would leave {whole % patch} unseen; use {near}"
            )


def _class_names(model: nn.Module) -> list[str] | None:
    """Names of the classes: the model's own, else those of ImageNet where the classifier has its thousand outputs."""
    own = getattr(model, "class_names", None) or (getattr(model, "pretrained_cfg", None) or {}).get("label_names")
    classes = int(getattr(model, "num_classes", 0) or 0)
    if own is not None and len(own) == classes:
        return [str(label) for label in own]
    if classes != 1000:
        return None
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(index).split(",")[0] for index in range(classes)]
