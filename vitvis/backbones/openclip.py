"""Models of open_clip as backbones: `open_clip:ViT-B-32`, with their text towers.

Plain ViT towers are rebuilt as timm's ViT, weights and all, so that their units have the names that all ViTs have
here (`blocks.10.mlp:20`). Towers that open_clip takes from timm (SigLIP, EVA, MobileCLIP, ConvNeXt) keep their modules,
below `trunk.`; the others (ResNets) are used as they are. The embedding is the site `head`, not yet of length 1.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitvis.errors import VitvisError, nearest

from .archives import read_tensors
from .backbone import Backbone
from .language import Language
from .weights import fit_to_model, identify, load_into

__all__ = ["PREFIX", "load_open_clip", "timm_tower", "wrap_open_clip"]

PREFIX = "open_clip:"

# numbers that OpenAI's TorchScript files hold beside the weights
_SCRIPTED = ("input_resolution", "context_length", "vocab_size")
_RENAMED = (
    (r"^conv1\.", "patch_embed.proj."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^ln_post\.", "norm."),
    (r"^transformer\.resblocks\.", "blocks."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.ls_([12])\.", r".ls\1."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


def timm_tower(visual: nn.Module) -> nn.Module | None:
    """Rebuild open_clip's `VisionTransformer` as timm's; None where it has parts that timm's has not.

    The two compute the same function: open_clip's `visual(images)` is the output of the classifier here.
    """
    from open_clip.transformer import LayerNorm, ResidualAttentionBlock, VisionTransformer
    from timm.layers import QuickGELU
    from timm.models.vision_transformer import VisionTransformer as TimmTransformer

    transformer: Any = getattr(visual, "transformer", None)
    blocks = list(getattr(transformer, "resblocks", []))
    source: Any = visual
    if (
        type(visual) is not VisionTransformer
        or source.attn_pool is not None
        or source.pool_type != "tok"
        or source.proj is None
        or any(
            type(block) is not ResidualAttentionBlock or not isinstance(block.attn, nn.MultiheadAttention)
            for block in blocks
        )
        or not isinstance(source.ln_post, LayerNorm)
    ):
        return None
    first: Any = blocks[0]
    quick = type(first.mlp.gelu).__name__ == "QuickGELU"
    state = {}
    for key, value in visual.state_dict().items():
        for pattern, new in _RENAMED:
            key = re.sub(pattern, new, key)
        state[key] = value
    width = int(state["class_embedding"].shape[0])
    state["cls_token"] = state.pop("class_embedding").reshape(1, 1, width)
    state["pos_embed"] = state.pop("positional_embedding")[None]
    state["head.weight"] = state.pop("proj").T.contiguous()
    state["head.bias"] = state["head.weight"].new_zeros(state["head.weight"].shape[0])
    gamma = state.get("blocks.0.ls1.gamma")
    tower = TimmTransformer(
        img_size=tuple(source.image_size),
        patch_size=tuple(source.patch_size),
        embed_dim=width,
        depth=len(blocks),
        num_heads=first.attn.num_heads,
        mlp_ratio=first.mlp.c_fc.out_features / width,
        num_classes=int(state["head.weight"].shape[0]),
        pre_norm="norm_pre.weight" in state,
        norm_layer=partial(nn.LayerNorm, eps=source.ln_post.eps),
        act_layer=QuickGELU if quick else nn.GELU,
        init_values=None if gamma is None else 1.0,
    )
    if set(tower.state_dict()) != set(state):
        return None
    tower.load_state_dict(state)
    return tower


def wrap_open_clip(model: Any, name: str, weights: str, tokenizer: Any) -> Backbone:
    """Make a backbone of an open_clip model; its `language` is the text tower.

    Args:
        model: of `open_clip.create_model`.
        name: how the backbone is called.
        weights: where the weights come from.
        tokenizer: of the model.
    """
    import open_clip

    model = model.float().eval().requires_grad_(False)
    data = open_clip.get_model_preprocess_cfg(model)
    size = data.get("size", 224)
    rows, columns = (size, size) if isinstance(size, int) else size
    mean = tuple(data.get("mean") or open_clip.OPENAI_DATASET_MEAN)
    std = tuple(data.get("std") or open_clip.OPENAI_DATASET_STD)
    tower: Any = timm_tower(model.visual)
    if tower is None:
        with torch.no_grad():
            width = int(model.visual(torch.zeros(1, 3, rows, columns)).shape[-1])
        tower = model.visual
        tower.num_classes = width  # so that the embedding is the site `head`
        prefix = getattr(getattr(tower, "trunk", None), "num_prefix_tokens", None)
        if isinstance(prefix, int):
            tower.num_prefix_tokens = prefix
    for module in tower.modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False  # type: ignore[assignment]
    resize = data.get("resize_mode", "shortest")
    backbone = Backbone(
        tower,
        name=name,
        weights=weights,
        weights_id=identify(tower),
        mean=mean,
        std=std,
        image_size=(rows, columns),
        eval_settings={
            "crop_pct": 1.0,
            "crop_mode": {"squash": "squash", "longest": "border"}.get(resize, "center"),
            "interpolation": data.get("interpolation", "bicubic"),
        },
    )
    backbone.language = Language(model, tokenizer, name, identify(_TextOnly(model)))
    return backbone


class _TextOnly(nn.Module):
    """All of a model but its image tower."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, child in model.named_children():
            if name != "visual":
                self.add_module(name, child)
        for name, value in model.named_parameters(recurse=False):
            self.register_parameter(name, value)  # type: ignore[arg-type]


def check_open_clip_name(name: str) -> str:
    """Return the name of a model within open_clip.

    Raises:
        VitvisError: there is none of that name.
    """
    import open_clip

    short = name.removeprefix(PREFIX)
    if short not in open_clip.list_models():
        hint = nearest(short, open_clip.list_models()) or ";"
        raise VitvisError(f"no model '{short}' in open_clip {open_clip.__version__}{hint} see open_clip.list_models()")
    return short


def load_open_clip(name: str, weights: str = "none", image_size: tuple[int, int] | None = None) -> Backbone:
    """Load a model of open_clip.

    Args:
        name: `open_clip:` and a name of `open_clip.list_models()`.
        weights: a file, `none` (random), or one of the model's pretrained tags, which open_clip downloads.
        image_size: rows and columns; None: the model's own.

    Raises:
        VitvisError: open_clip is not installed, no such model, tag or file, or the file does not fit.
    """
    try:
        import open_clip
    except ImportError as error:
        raise VitvisError(f"model {name} needs open_clip; pip install 'vitvis[clip]'") from error
    short = check_open_clip_name(name)
    tags = open_clip.list_pretrained_tags_by_model(short)
    file = Path(weights).expanduser()
    downloaded = weights in tags
    if weights in ("hub", "bundled"):
        raise VitvisError(f"model {name}: say which weights; tags: {', '.join(tags[:6]) or 'none'}, or weights=FILE")
    if weights != "none" and not downloaded and not file.is_file():
        hint = nearest(weights, tags) or ";"
        raise VitvisError(f"weights={weights}: neither a file nor a tag of {name}{hint} tags: {', '.join(tags[:6])}")
    try:
        tokenizer = open_clip.get_tokenizer(short)
        with _silence():
            model = open_clip.create_model(
                short,
                pretrained=weights if downloaded else None,
                force_image_size=image_size,
                pretrained_image=False,
                load_weights=downloaded,
            )
    except Exception as error:  # noqa: BLE001  # hub clients and constructors raise a dozen unrelated types
        raise VitvisError(f"model {name}, weights={weights}: {_first(error)}; weights=FILE needs no network") from error
    if weights == "none":
        warnings.warn(f"{name}: weights=none, so the model is random and its pictures mean nothing", stacklevel=4)
    elif not downloaded:
        load_into(model, fit_to_model(model, read_tensors(file), _convert), name, file)
    bad = [key for key, value in model.state_dict().items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise VitvisError(f"weights={weights} of {name} hold NaN or infinite numbers, first in {bad[0]}")
    return wrap_open_clip(model, name, weights, tokenizer)


def _convert(state: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """Bring files of other projects, older forms and other image sizes into the model's own form, as open_clip does."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    own = model.state_dict()
    state = convert_state_dict(model, state)  # type: ignore[arg-type]
    if "positional_embedding" in state and "positional_embedding" not in own:
        state = convert_to_custom_text_state_dict(state)
    for key in ("logit_scale", "logit_bias"):
        if key in state and key in own:
            state[key] = state[key].reshape(own[key].shape)
    if "logit_bias" in own and "logit_bias" not in state:
        state["logit_bias"] = torch.zeros_like(own["logit_bias"])
    for key in _SCRIPTED:
        state.pop(key, None)
    resize_pos_embed(state, model)
    resize_text_pos_embed(state, model)
    return state


@contextmanager
def _silence() -> Iterator[None]:
    """Keep open_clip from saying that a model is random, which a file is about to change or we say ourselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _first(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
