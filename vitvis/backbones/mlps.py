"""Recognise feed-forward layers by what they are made of, and say where their hidden neurons are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

__all__ = ["MlpParts", "mlp_parts"]

# (layers into the hidden width, activation, layer out of it), as timm's modules name them
_NAMES = (
    (("gate_proj", "up_proj"), "act_fn", "down_proj"),
    (("gate_proj", "up_proj"), "act", "down_proj"),
    (("w1", "w2"), "act", "w3"),
    (("fc1",), "act", "fc2"),
    (("fc1_g", "fc1_x"), "act", "fc2"),
    (("ln1",), "act", "ln2"),
    (("fc1",), "act_layer", "fc2"),
    (("fc1",), "activation_fn", "fc2"),  # transformers
    (("fc1",), "activation", "fc2"),
    (("up_proj",), "act_fn", "down_proj"),
    (("pwconv1",), "act", "pwconv2"),
)
# what stands between the gate's product and the layer out, in order of execution
_AFTER_GATE = ("drop1", "norm", "drop")


@dataclass(frozen=True)
class MlpParts:
    """Where the hidden neurons of one feed-forward layer are.

    Attributes:
        width: hidden neurons.
        post: `(child, "output" or "input")` that holds them after the activation (and gate), before any norm.
        pre: the same before the activation; for gated layers, the gate's pre-activation.
        features: width of the layer's input.
        first: child that comes first.
    """

    width: int
    post: tuple[str, str]
    pre: tuple[str, str]
    features: int
    first: str


def _size(layer: nn.Module | None) -> tuple[int, int] | None:
    """Input and output channels of a linear layer or convolution."""
    weight = getattr(layer, "weight", None)
    if layer is None or weight is None:
        inner = [_size(child) for child in layer.children()] if layer is not None else []
        sizes = [
            size for size in inner if size is not None
        ]  # ConvNorm and the like: one layer with weights, and a norm
        return sizes[0] if len(sizes) == 1 else None
    if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)) and weight.ndim not in (2, 3, 4):
        return None
    if weight.ndim < 2:
        return None
    return int(weight.shape[1]) * getattr(layer, "groups", 1), int(weight.shape[0])


def mlp_parts(module: nn.Module) -> MlpParts | None:
    """Recognise a feed-forward layer, or return None."""
    for into, activation, out in _NAMES:
        children = [getattr(module, name, None) for name in (*into, activation, out)]
        if not all(isinstance(child, nn.Module) for child in children):
            continue
        size_in, size_out = _size(children[0]), _size(children[-1])
        if size_in is None or size_out is None:
            continue
        features, hidden = size_in
        width = size_out[0]
        if isinstance(getattr(module, "gate", None), nn.Module) and not isinstance(module.gate, nn.Identity):
            width = hidden  # gMLP: the spatial gate comes after the activation and halves the width
        elif len(into) > 1 or (hidden == 2 * width):
            later = [name for name, _ in module.named_children()]
            later = later[later.index(activation) + 1 :]  # a norm before it is the block's own
            between = next((name for name in _AFTER_GATE if name in later), out)
            return MlpParts(width, (between, "input"), (activation, "input"), features, into[0])
        if hidden != width:
            continue
        return MlpParts(width, (activation, "output"), (activation, "input"), features, into[0])
    return _inverted_residual(module) or _pointwise(module)


def _inverted_residual(module: nn.Module) -> MlpParts | None:
    """MobileNet's and EfficientNet's blocks: the hidden layer is the expanded one, after the depthwise convolution."""
    for project, norm in (("conv_pwl", "bn2"), ("conv_pwl", "bn1")):
        out, normalize = getattr(module, project, None), getattr(module, norm, None)
        act = getattr(normalize, "act", None)
        size = _size(out) if isinstance(out, nn.Module) else None
        if size is None or not isinstance(act, nn.Module) or isinstance(act, nn.Identity):
            continue
        first = next((child for child in module.modules() if isinstance(child, nn.Conv2d)), None)
        expected = getattr(normalize, "num_features", None)
        if expected == size[0] and first is not None:
            return MlpParts(size[0], (f"{norm}.act", "output"), (f"{norm}.act", "input"), int(first.in_channels), "")
    return None


_ACTIVATION = re.compile(r"\w*(ReLU|ReLU6|GELU|GELUTanh|SiLU|Swish|Mish|ELU|Hardswish|StarReLU)(Activation)?")


def _is_pointwise(layer: nn.Module) -> bool:
    """True for a linear layer or a convolution of 1 x 1, alone or with its norm."""
    layers = [child for child in layer.modules() if isinstance(child, (nn.Linear, nn.Conv1d, nn.Conv2d))]
    return len(layers) == 1 and (
        isinstance(layers[0], nn.Linear) or set(layers[0].kernel_size) == {1} and layers[0].groups == 1
    )


def _is_activation(module: nn.Module) -> bool:
    return _ACTIVATION.fullmatch(type(module).__name__) is not None and not any(True for _ in module.children())


def _pointwise(module: nn.Module) -> MlpParts | None:
    """Any module that widens each token, applies a function and narrows it to what it was, whatever its layers' names.

    RepViT, EfficientViT (MSRA), SHViT, iFormer, EfficientViM (whose function is inside the layer before it).
    """
    layers: list[tuple[str, nn.Module]] = []  # with weights, so far
    activation = ""
    for name, child in module.named_children():
        if _is_activation(child):
            activation = name
        elif any(True for _ in child.parameters()):
            inside = [inner for inner, part in child.named_children() if _is_activation(part)]
            if layers and _is_pointwise(child) and _is_pointwise(layers[-1][1]):
                first, layer = layers[-1]
                into, out = _size(layer), _size(child)
                if into is not None and out is not None and into[1] == out[0] > into[0] == out[1]:
                    if activation:
                        return MlpParts(into[1], (activation, "output"), (activation, "input"), into[0], first)
                    if isinstance(layer, nn.Linear) and isinstance(child, nn.Linear):  # a function without a module
                        return MlpParts(into[1], (name, "input"), (first, "output"), into[0], first)
            layers.append((name, child))
            activation = f"{name}.{inside[0]}" if inside else ""
    return None
