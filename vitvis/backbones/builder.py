"""Make sites from what a probe saw: layouts, token order, depth."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vitvis.errors import VitvisError, nearest

from .dictionary_files import read_dictionary
from .layouts import Layout, read_layout
from .probe import Call, Probe, probe_elsewhere, run_probe
from .site import Site, TapPoint
from .unrolled import unrolled_order
from .windows import trace_order

__all__ = ["SiteBuilder", "Sites", "channel_axis", "join", "parent", "token_count"]

_PREFIX = r"(cls|dist|distillation|reg|register|class)_?(token|embed|embedding)s?1?"
_WINDOWED = ("window_size", "shift_size", "ws", "grid_size", "partition_size")


def join(*names: str) -> str:
    """Join parts of a dotted path, leaving out empty ones."""
    return ".".join(name for name in names if name)


def parent(path: str) -> str:
    """Path of the module that holds this one."""
    return path.rpartition(".")[0]


def channel_axis(module: nn.Module) -> int | None:
    """Axis of the channels of a 4-D tensor that this layer makes; None where its type does not tell."""
    kinds = [type(m).__name__ for m in module.modules() if not any(True for _ in m.children())]
    if any("Conv2d" in kind or "BatchNorm" in kind or kind.endswith("2d") for kind in kinds):
        return None if "Linear" in kinds else 1
    return 3 if any(kind in ("Linear", "LayerNorm") for kind in kinds) else None


class Sites(dict[str, Site]):
    """Named sites in order of execution; `get_site` also finds any other submodule by its dotted path."""

    def __init__(self, sites: dict[str, Site], builder: SiteBuilder) -> None:
        super().__init__(sites)
        self._builder = builder

    def module_paths(self) -> list[str]:
        """Paths of all submodules that ran and are not the name of a site."""
        return [path for path in self._builder.probe.calls if path not in ("", "head") and path not in self]

    def tappable_modules(self) -> list[Site]:
        """Sites of kind `module`: all other submodules whose activation has a layout that can be told."""
        found = []
        for path in sorted(self.module_paths(), key=lambda path: self._builder.probe.calls[path][0].finished):
            try:
                found.append(self.get_site(path))
            except VitvisError:
                continue
        return found

    def get_site(self, name: str) -> Site:
        """Look a site up by name, any submodule by its path, or latents by `SITE@FILE`.

        Raises:
            VitvisError: there is none; names the nearest and how to list them. The dictionary can't be read, or is of
                another width.
        """
        if not name:
            raise VitvisError("a site has a name, such as blocks.4.mlp; this one is empty")
        if name in self:
            return self[name]
        if "@" in name:
            return self._latents(*name.split("@", 1))
        if name == "head":  # a module may bear this name that classifies nothing
            raise VitvisError(
                f"no site 'head' in {self._builder.name}, which has no classifier; sites: {self._examples(name)}"
            )
        if name in self._builder.probe.calls:
            return self._builder.module_site(name)
        modules = dict(self._builder.model.named_modules())
        model = self._builder.name
        if name in modules:
            raise VitvisError(
                f"site '{name}': {model} never calls this submodule, so it can't be tapped; "
                f"sites that can: {self._examples(name)}"
            )
        hint = nearest(name, self) or nearest(name, self.module_paths()) or ";"
        raise VitvisError(f"no site '{name}' in {model}{hint} sites: {self._examples(name)}")

    def _latents(self, base: str, file: str) -> Site:
        site, dictionary = self.get_site(base), read_dictionary(file)
        if dictionary.inputs != site.width:
            same = [other.name for other in self.values() if other.width == dictionary.inputs]
            fitting = f"; sites of that width: {', '.join(same[:6])}" if same else ""
            raise VitvisError(
                f"dictionary '{file}': reads activations of width {dictionary.inputs}, but {base} of "
                f"{self._builder.name} has {site.width}{fitting}"
            )
        return site.latents(file, dictionary)

    def _examples(self, name: str) -> str:
        near = [site for site in self if site.partition(".")[0] == name.partition(".")[0]] or list(self)
        shown = near[:6]
        more = f", ... ({len(self)} in all: python -m vitvis.sites model={self._builder.name})"
        return ", ".join(shown) + (more if len(self) > len(shown) else "")


class SiteBuilder:
    """Collects the sites of one model; says nothing about what kinds of layers there are."""

    def __init__(self, model: nn.Module, name: str, image_size: tuple[int, int], channels: int = 3) -> None:
        self.model = model
        self.name = name
        self.probe: Probe = run_probe(model, image_size, channels)
        self.elsewhere: Probe | None = probe_elsewhere(model, image_size, channels)
        self.modules = dict(model.named_modules())
        self.prefix = self._prefix_tokens()
        self.found: list[tuple[int, Site]] = []
        self.owners: dict[str, str] = {}
        self.blocks: list[str] = []
        self.block_index: dict[str, int] = {}
        self._orders: dict[tuple[str, str], Tensor | None] = {}

    # -- facts about the model ------------------------------------------------------------------

    def _prefix_tokens(self) -> int:
        count = getattr(self.model, "num_prefix_tokens", None)
        if isinstance(count, int):
            return count
        for modules in ([self.model], self.model.modules()):  # transformers keep them in the embeddings
            total = sum(
                int(parameter.shape[1])
                for module in modules
                for name, parameter in module.named_parameters(recurse=False)
                if parameter.ndim == 3 and re.fullmatch(_PREFIX, name)
            )
            if total:
                return total
        return 0

    def ran(self, path: str) -> bool:
        """True where the submodule was called in the probe."""
        return bool(self.probe.calls.get(path))

    def children_that_ran(self, path: str) -> Callable[[str], bool]:
        """A function that says of a child of this module whether it was called in the probe."""
        return lambda name: self.ran(join(path, name))

    # -- layouts --------------------------------------------------------------------------------

    def layout(
        self, call: Call, when: str = "output", axis: int | None = None, item: int | None = None
    ) -> Layout | None:
        """Layout, prefix tokens and grid of what a submodule received or returned; see `read_layout`.

        Args:
            call: of the submodule.
            when: `input` or `output`.
            axis: of the channels of a 4-D tensor, as far as the kind of layer tells; what was seen to scale with the
                image comes first.
            item: of an output of several.
        """
        shape = _shape(call, when, item)
        if shape is None:
            return None
        other = self.elsewhere.calls.get(call.path, []) if self.elsewhere is not None else []
        scaled = _shape(other[call.number], when, item) if len(other) > call.number else None
        if scaled is not None and len(scaled) == len(shape) and scaled[0] == shape[0] == self.probe.batch:
            moved = {place for place in range(1, len(shape)) if scaled[place] != shape[place]}
            if len(shape) == 4 and moved in ({2, 3}, {1, 2}):
                axis = 1 if moved == {2, 3} else 3
            elif len(shape) == 4 and moved or len(shape) == 3 and moved - {1}:
                return None  # patches unrolled, channels first, a table of states
            elif len(shape) == 3 and not moved and shape[1] > self.prefix + 1:
                return None
        return read_layout(shape, self.probe.batch, self.probe.image_size, self.prefix, axis)

    def order(self, owner: str, target: str) -> Tensor | None:
        """Order of the tokens at the input of `target`, relative to the input of the block that owns it."""
        key = (owner, target)
        if key not in self._orders:
            call = self.probe.first(owner)
            self._orders[key] = None
            if call is not None and call.input is not None:
                layout = self.layout(call, "input")
                if layout is not None and layout[0] != "NC":
                    axis = channel_axis(self.modules[target])
                    arguments = (call.args, call.kwargs, layout[0], self.modules[target], 1 if axis == 1 else -1)
                    try:
                        self._orders[key] = trace_order(self.modules[owner], *arguments)
                    except Exception:  # noqa: BLE001  # a block that can't be traced has no site there; the rest stands
                        self._orders[key] = None
        return self._orders[key]

    def is_windowed(self, owner: str, attention: str) -> bool:
        """True where a block or its attention carries a window's size."""
        for path in (owner, attention):
            for name in _WINDOWED:
                value = getattr(self.modules[path], name, None)
                if isinstance(value, (int, tuple, list)) and value:
                    return True
        return False

    # -- building sites -------------------------------------------------------------------------

    def add(
        self,
        name: str,
        kind: str,
        path: str,
        width: int | None,
        owner: str,
        *,
        when: str = "output",
        call: int = 0,
        axis: int | None = None,
        heads: int | None = None,
        channels: tuple[int, int] | Tensor | None = None,
        linear: tuple[str, str | None, int, int] | None = None,
        windows: str | None = None,
        item: int | None = None,
    ) -> Site | None:
        """Add a site if its layout can be told.

        `width`: None takes the channels of the tensor. `windows`: submodule at whose input the tokens' order is traced.
        """
        calls = self.probe.calls.get(path, [])
        if len(calls) <= call:
            return None
        record = calls[call]
        shape = _shape(record, when, item)
        if shape is None:
            return None
        layout, order = self.layout(record, when, axis, item), None
        unrolled = unrolled_order(self.model, path, shape, self.probe)
        if unrolled is not None:
            layout, order = (unrolled.layout, 0, unrolled.grid), unrolled.order
        elif windows is not None:
            order = self.order(owner, windows)
            entry = self.probe.first(owner)
            outer = self.layout(entry, "input") if entry is not None and order is not None else None
            if outer is None:
                return None
            inner = "NLC" if len(shape) == 3 else "NCHW" if axis == 1 else "NHWC"
            layout = (inner, outer[1], outer[2])
            if order is not None and torch.equal(order, torch.arange(token_count(shape, axis))):
                order = None
        if layout is None:
            return None
        if width is None:
            width = shape[1 if layout[0] == "NCHW" else -1]
        clone = record.input_mutated if when == "input" else record.output_mutated
        time = record.started if when == "input" else record.finished
        point = TapPoint(when, call, channels, linear, order, clone, item)
        site = Site(name, kind, path, width, *layout, -1, heads, point)
        self.keep(site, time, owner)
        return site

    def depth_of(self, owner: str, time: int) -> int:
        """Index of the block a site belongs to; sites outside blocks count the blocks that came before."""
        path = owner
        while path:
            if path in self.block_index:
                return self.block_index[path]
            path = parent(path)
        return sum(self.probe.calls[block][0].finished <= time for block in self.block_index)

    def keep(self, site: Site, time: int, owner: str) -> None:
        """Take a site, with the time on the probe's clock at which it is read."""
        self.found.append((time, site))
        self.owners[site.name] = owner

    def plain(self, order: Tensor | None, shape: tuple[int, ...] | None) -> bool:
        """True where tokens arrive in canonical order and without padding."""
        if order is None or shape is None:
            return True
        count = token_count(shape, None) * shape[0] // self.probe.batch
        return order.numel() == count and torch.equal(order, torch.arange(count))

    # -- any other submodule --------------------------------------------------------------------

    def module_site(self, path: str) -> Site:
        """Make a site of any submodule that returns one tensor in a layout that can be told."""
        record = self.probe.calls[path][0]
        if record.output is None:
            raise VitvisError(
                f"site '{path}': this submodule of {self.name} does not return one tensor; tap one inside it"
            )
        axis = channel_axis(self.modules[path]) if not any(True for _ in self.modules[path].children()) else None
        layout, order = self.layout(record, axis=axis), None
        unrolled = unrolled_order(self.model, path, record.output, self.probe)
        if unrolled is not None:
            layout, order = (unrolled.layout, 0, unrolled.grid), unrolled.order
        if layout is None:
            raise VitvisError(
                f"site '{path}': its activation has the shape {list(record.output)} for {self.probe.batch} images, "
                f"which holds windows or no patches; sites that can be tapped: python -m vitvis.sites model={self.name}"
            )
        width = record.output[1 if layout[0] == "NCHW" else -1]
        point = TapPoint(order=order, clone=record.output_mutated)
        depth = self.depth_of(path, record.finished)
        return Site(path, "module", path, width, *layout, min(depth, max(len(self.block_index) - 1, 0)), None, point)


def _shape(call: Call, when: str, item: int | None = None) -> tuple[int, ...] | None:
    """Shape of what a call received or returned."""
    if when == "input":
        return call.input
    if item is None:
        return call.output
    return call.outputs[item] if item < len(call.outputs) else None


def token_count(shape: tuple[int, ...], axis: int | None) -> int:
    """Tokens of one item of the raw batch."""
    rest = shape[2:] if axis == 1 and len(shape) == 4 else shape[1:-1]
    count = 1
    for size in rest:
        count *= size
    return count
