"""Vision models of transformers as backbones: `hf:NAME`, `hf:FOLDER`, `hf:NAME#vision_tower`.

Submodules keep the names they have there (`vit.layers.3.mlp`); kinds of sites are found as in any model. What a model
returns is its logits, its embedding, or its pooled output, whichever comes first; it is the site `head` where a
classifier, a projection or a pooling head makes it.
"""

from __future__ import annotations

import inspect
import operator
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitvis.errors import VitvisError, sentence

from .archives import read_tensors
from .backbone import Backbone
from .hub import no_retries
from .weights import LEFT_OUT, identify

__all__ = ["PREFIX", "VisionTower", "load_hugging_face"]

PREFIX = "hf:"
#: of a model's output, the first that is there: logits, embedding, pooled tokens
_OUTPUTS = ("logits", "image_embeds", "pooler_output")
_INTERPOLATIONS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


class VisionTower(nn.Module):
    """A model of transformers that takes images and returns one tensor.

    Args:
        model: takes `pixel_values`.
        image_size: rows and columns it is asked for; its position embeddings are scaled to it where it can.
    """

    def __init__(self, model: Any, image_size: tuple[int, int]) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.__dict__["whole"] = model  # no submodule, so that names stay those that transformers gives
        known = inspect.signature(model.forward).parameters
        scaled = _own_size(model.config) not in (None, image_size) and "interpolate_pos_encoding" in known
        self.settings = {"interpolate_pos_encoding": True} if scaled else {}
        self.num_classes = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return `[B, K]`, or the tokens of the last layer where there is neither head nor pooling."""
        output = self.__dict__["whole"](pixel_values=images, **self.settings)
        if isinstance(output, Tensor):
            return output
        for name in _OUTPUTS:
            value = getattr(output, name, None)
            if isinstance(value, Tensor):
                return value
        return output[0]


def _own_size(config: Any) -> tuple[int, int] | None:
    config = getattr(config, "vision_config", None) or config
    size = getattr(config, "image_size", None)
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if isinstance(size, (list, tuple)) and len(size) == 2 else None


def load_hugging_face(name: str, weights: str = "hub", image_size: tuple[int, int] | None = None) -> Backbone:
    """Load a model of transformers.

    Args:
        name: `hf:` and a repository or a folder, with `#` and the path of the tower in a model of several.
        weights: `hub` (what is in the repository or folder), `none` (random), or a file.
        image_size: rows and columns; None: what the image processor makes.

    Raises:
        VitvisError: transformers is not installed, no such repository, folder, tower or file, no network, or the model
            takes no images.
    """
    try:
        import transformers
    except ImportError as error:
        raise VitvisError(f"model {name} needs transformers; pip install 'vitvis[hf]'") from error
    source, _, tower = name.removeprefix(PREFIX).partition("#")
    if not source:
        raise VitvisError(f"model {name}: write hf:OWNER/NAME or hf:FOLDER")
    if weights == "bundled":
        raise VitvisError(f"model {name}: weights are hub, none or a file")
    state = read_tensors(Path(weights).expanduser()) if weights not in ("hub", "none") else None
    source = str(Path(source).expanduser()) if Path(source).expanduser().is_dir() else source
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with no_retries():
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
            processor = _processor(source)
            model = _build(transformers, config, source, state, weights, tower, name)
    except VitvisError:
        raise
    except Exception as error:  # noqa: BLE001  # hub clients and constructors raise a dozen unrelated types
        if "trust_remote_code" in str(error):
            raise VitvisError(
                f"model {name}: brings code of its own, which is never run here; write a function of yours that makes "
                "the model, and give it as model=python:MODULE:FUNCTION"
            ) from error
        raise VitvisError(
            f"model {name}, weights={weights}: {sentence(error)}; hf:FOLDER needs no network, weights=none no weights"
        ) from error
    finally:
        transformers.logging.set_verbosity(before)
    size = image_size or _processor_size(processor) or _own_size(model.config) or (224, 224)
    found = VisionTower(model.float().eval().requires_grad_(False), size)
    if weights == "none":
        warnings.warn(f"{name}: weights=none, so the model is random and its pictures mean nothing", stacklevel=4)
    return _wrap(found, config, processor, name, weights, size)


def _build(
    transformers: Any, config: Any, source: str, state: dict[str, Tensor] | None, weights: str, tower: str, name: str
) -> Any:
    """Build the model that a repository describes, or its tower for images."""
    kind = (getattr(config, "architectures", None) or [""])[0]
    vision = getattr(config, "vision_config", None)
    if vision is not None and not tower:  # CLIP, SigLIP: the half that looks at images
        stem = kind.removesuffix("Model")
        names = [f"{stem}VisionModelWithProjection", f"{stem}VisionModel", kind if "Vision" in kind else ""]
        kind = next((each for each in names if each and hasattr(transformers, each)), "")
        if not kind:
            raise VitvisError(
                f"model {name}: a model of several parts; name the one for images, {name}#vision_tower, say"
            )
    made = getattr(transformers, kind, transformers.AutoModel) if kind else transformers.AutoModel
    if weights != "none":
        where = {"config": config, "state_dict": state} if state is not None else {}
        model, report = made.from_pretrained(
            None if state is not None else source, dtype=torch.float32, output_loading_info=True, **where
        )
        check_report(report, name, weights if state is not None else source)
    elif made is transformers.AutoModel:
        model = made.from_config(config)
    else:
        model = made(vision if vision is not None and not tower else config)
    if not tower:
        return model
    for path in (tower, f"model.{tower}"):
        try:
            return operator.attrgetter(path)(model)
        except AttributeError:
            continue
    parts = [path for path, module in model.named_modules() if 0 < path.count(".") + 1 <= 2]
    raise VitvisError(f"model {name}: no part '{tower}'; parts: {', '.join(parts[:8])}")


def check_report(report: Mapping[str, Any], name: str, file: str) -> None:
    """Refuse weights of which something is missing, left over or of another shape, but for what may be left out.

    Raises:
        VitvisError: names the first tensors.
    """
    allowed = [pattern for _, pattern in LEFT_OUT]
    for what in ("missing", "unexpected", "mismatched", "error"):
        keys = sorted(str(key) for key in report.get(f"{what}_keys") or report.get(f"{what}_msgs") or ())
        keys = [key for key in keys if not any(re.search(pattern, key) for pattern in allowed)]
        if keys:
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise VitvisError(f"weights={file} do not fit {name}: {what}: {shown}")


def _processor(source: str) -> dict[str, Any]:
    """What the image processor's file says; empty where there is none."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        return dict(ImageProcessingMixin.get_image_processor_dict(source)[0])
    except (OSError, ValueError):
        return {}


def _sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, dict):
        size = (size.get("height"), size.get("width")) if "height" in size else size.get("shortest_edge")
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[1])) if isinstance(size, (tuple, list)) and all(size) else None


def _processor_size(processor: dict[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of the images that a processor hands over."""
    if processor.get("do_center_crop", True) and processor.get("crop_size"):
        return _sides(processor["crop_size"])
    return _sides(processor.get("size"))


def _wrap(
    tower: VisionTower, config: Any, processor: dict[str, Any], name: str, weights: str, size: tuple[int, int]
) -> Backbone:
    from .probe import run_probe

    try:
        with torch.no_grad():
            output = run_probe(tower, size).output
    except Exception as error:  # noqa: BLE001  # text, video, other sizes: all mean that images do not fit
        raise VitvisError(
            f"{name} does not take images [2, 3, {size[0]}, {size[1]}] ({sentence(error)}); only towers that take "
            "images as pixel_values alone can be looked into"
        ) from error
    has_head = any(re.search("classifier|head|projection", child) for child, _ in tower.named_children())
    tower.num_classes = output[1] if output is not None and len(output) == 2 and has_head else 0
    labels = list((getattr(config, "id2label", None) or {}).values())
    named = len(labels) == tower.num_classes and not all(str(label).startswith("LABEL_") for label in labels)
    normalised = processor.get("do_normalize", True)
    resized, cropped = _sides(processor.get("size")), _processor_size(processor)
    return Backbone(
        tower,
        name=name,
        weights=weights,
        weights_id=identify(tower),
        mean=tuple(processor.get("image_mean") or (0.5,) * 3) if normalised else (0.0,) * 3,
        std=tuple(processor.get("image_std") or (0.5,) * 3) if normalised else (1.0,) * 3,
        image_size=size,
        class_names=[str(label) for label in labels] if named else None,
        eval_settings={
            "crop_pct": cropped[0] / resized[0] if cropped and resized else 1.0,
            "crop_mode": "center" if "shortest_edge" in (processor.get("size") or {}) else "squash",
            "interpolation": _INTERPOLATIONS.get(processor.get("resample", 3), "bicubic"),
        },
    )
