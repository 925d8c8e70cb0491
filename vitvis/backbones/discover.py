"""Find the sites of a model by what its modules are made of, and one recorded forward pass."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor, nn

from vitvis.errors import VitvisError, nearest

from .attentions import attention_parts, head_count, output_projection
from .backbone import Backbone
from .layouts import read_layout
from .mlps import mlp_parts
from .probe import Call, Probe, run_probe
from .site import Site, TapPoint
from .windows import trace_order, unrolled_order

__all__ = ["Sites", "find_sites"]

_BLOCK = re.compile(r"Block|Bottleneck|Residual|DepthwiseSeparable|MBConv|DenseLayer")
_NO_BLOCK = re.compile(r"DropBlock|Stage|Attn|Attention|Mlp|Dense_?Block|Embed")
_NO_MLP = re.compile(r"^SE|Squeeze|RelPos|Gate$|GatherExcite|GlobalContext")
# children of a block that receive the attention branch once its windows are undone
_AFTER_ATTENTION = re.compile(r"(ls|layer_scale|drop_path|norm)_?1?")
_WINDOWED = ("window_size", "shift_size", "ws", "grid_size", "partition_size")


def _join(*names: str) -> str:
    return ".".join(name for name in names if name)


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _channel_axis(module: nn.Module) -> int | None:
    """Axis of the channels of a 4-D tensor that this layer makes; None where its type does not tell."""
    kinds = [type(m).__name__ for m in module.modules() if not any(True for _ in m.children())]
    if any("Conv2d" in kind or "BatchNorm" in kind or kind.endswith("2d") for kind in kinds):
        return None if "Linear" in kinds else 1
    return 3 if any(kind in ("Linear", "LayerNorm") for kind in kinds) else None


class Sites(dict[str, Site]):
    """Named sites in order of execution; `get_site` also finds any other submodule by its dotted path."""

    def __init__(self, sites: dict[str, Site], finder: _Finder) -> None:
        super().__init__(sites)
        self._finder = finder

    def module_paths(self) -> list[str]:
        """Paths of all submodules that ran and are not the name of a site."""
        return [path for path in self._finder.probe.calls if path and path not in self]

    def get_site(self, name: str) -> Site:
        """Look a site up by name, or any submodule by its path.

        Raises:
            VitvisError: there is none; names the nearest and how to list them.
        """
        if name in self:
            return self[name]
        if name in self._finder.probe.calls:
            return self._finder.module_site(name)
        modules = dict(self._finder.model.named_modules())
        model = self._finder.name
        if name in modules:
            raise VitvisError(
                f"site '{name}': {model} never calls this submodule, so it can't be tapped; "
                f"sites that can: {self._examples(name)}"
            )
        hint = nearest(name, self) or nearest(name, self.module_paths()) or ";"
        raise VitvisError(f"no site '{name}' in {model}{hint} sites: {self._examples(name)}")

    def _examples(self, name: str) -> str:
        near = [site for site in self if site.partition(".")[0] == name.partition(".")[0]] or list(self)
        shown = near[:6]
        more = f", ... ({len(self)} in all: python -m vitvis.sites model={self._finder.name})"
        return ", ".join(shown) + (more if len(self) > len(shown) else "")


class _Finder:
    """Collects sites; one instance a model."""

    def __init__(self, model: nn.Module, name: str, image_size: tuple[int, int]) -> None:
        self.model = model
        self.name = name
        self.probe: Probe = run_probe(model, image_size)
        self.modules = dict(model.named_modules())
        self.prefix = self._prefix_tokens()
        self.found: list[tuple[int, Site]] = []
        self.blocks: list[str] = []
        self._orders: dict[tuple[str, str], Tensor | None] = {}

    # -- facts about the model ------------------------------------------------------------------

    def _prefix_tokens(self) -> int:
        count = getattr(self.model, "num_prefix_tokens", None)
        if isinstance(count, int):
            return count
        total = 0
        for name, parameter in self.model.named_parameters(recurse=False):
            if (
                re.fullmatch(r"(cls|dist|reg|register|class)_?(token|embed|embedding)s?1?", name)
                and parameter.ndim == 3
            ):
                total += int(parameter.shape[1])
        return total

    def _ran(self, path: str) -> bool:
        return bool(self.probe.calls.get(path))

    def _aliases(self) -> dict[int, list[str]]:
        """All paths of each module: a layer with shared weights has several."""
        paths: dict[int, list[str]] = {}
        for path, module in self.model.named_modules(remove_duplicate=False):
            paths.setdefault(id(module), []).append(path)
        return paths

    # -- layouts --------------------------------------------------------------------------------

    def _layout(self, shape: tuple[int, ...], axis: int | None) -> tuple[str, int, tuple[int, int] | None] | None:
        return read_layout(shape, self.probe.batch, self.probe.image_size, self.prefix, axis)

    def _order(self, owner: str, target: str) -> Tensor | None:
        """Order of the tokens at the input of `target`, relative to the input of the block that owns it."""
        key = (owner, target)
        if key not in self._orders:
            call = self.probe.first(owner)
            self._orders[key] = None
            if call is not None and call.input is not None:
                layout = self._layout(call.input, None)
                if layout is not None and layout[0] != "NC":
                    axis = _channel_axis(self.modules[target])
                    arguments = (call.args, call.kwargs, layout[0], self.modules[target], 1 if axis == 1 else -1)
                    try:
                        self._orders[key] = trace_order(self.modules[owner], *arguments)
                    except Exception:  # noqa: BLE001  # a block that can't be traced has no site there; the rest stands
                        self._orders[key] = None
        return self._orders[key]

    def _in_blocks(self, path: str) -> bool:
        return any(path == block or path.startswith(block + ".") for block in self.blocks)

    def _is_windowed(self, owner: str, attention: str) -> bool:
        for path in (owner, attention):
            for name in _WINDOWED:
                value = getattr(self.modules[path], name, None)
                if isinstance(value, (int, tuple, list)) and value:
                    return True
        return False

    # -- building sites -------------------------------------------------------------------------

    def _add(
        self,
        name: str,
        kind: str,
        path: str,
        width: int,
        owner: str,
        *,
        when: str = "output",
        call: int = 0,
        axis: int | None = None,
        heads: int | None = None,
        channels: tuple[int, int] | Tensor | None = None,
        linear: tuple[str, str | None, int, int] | None = None,
        windows: str | None = None,
    ) -> Site | None:
        """Add a site if its layout can be told. `windows`: submodule at whose input the tokens' order is traced."""
        calls = self.probe.calls.get(path, [])
        if len(calls) <= call:
            return None
        record = calls[call]
        shape = record.input if when == "input" else record.output
        if shape is None:
            return None
        if linear is not None:
            shape = (*shape[:-1], width)
        order = None
        layout = self._layout(shape, axis)
        if windows is not None:
            order = self._order(owner, windows)
            if order is not None:
                entry = self.probe.first(owner)
                outer = self._layout(entry.input, None) if entry is not None and entry.input is not None else None
                if outer is None:
                    return None
                inner = "NLC" if len(shape) == 3 else "NCHW" if axis == 1 else "NHWC"
                layout = (inner, outer[1], outer[2])
                if torch.equal(order, torch.arange(order.numel())) and order.numel() == _tokens(shape, axis):
                    order = None
            else:
                return None
        if layout is None:
            return None
        kind_of, prefix, grid = layout
        if kind_of in ("NLC", "NHWC", "NCHW") and order is None:
            unrolled = unrolled_order(self.model, shape)
            if unrolled is not None:
                kind_of = "NLC" if len(shape) == 3 else "NHWC"
                order, grid = unrolled
                prefix = 0
        clone = record.input_mutated if when == "input" else record.output_mutated
        time = record.started if when == "input" else record.finished
        point = TapPoint(when, call, channels, linear, order, clone)
        site = Site(name, kind, path, width, kind_of, prefix, grid, -1, heads, point)
        self._keep(site, time, owner)
        return site

    def find(self) -> Sites:
        """Find all named sites."""
        self._owners: dict[str, str] = {}
        aliases = self._aliases()
        feed_forwards = self._feed_forwards(aliases)
        attentions = self._attentions()
        inside_attention = {path for _, path in attentions}  # Swin v2 and others compute position biases with an MLP
        feed_forwards = [item for item in feed_forwards if item[0] not in inside_attention]
        self.blocks = self._find_blocks({owner for owner, *_ in feed_forwards} | {owner for owner, _ in attentions})
        self._add_feed_forwards(feed_forwards)
        self._add_attentions(attentions)
        for block in self.blocks:
            record = self.probe.calls[block][0]
            assert record.output is not None
            layout = self._layout(record.output, None)
            if layout is not None:
                width = record.output[1 if layout[0] == "NCHW" else -1]
                self._add(_join(block, "block"), "block", block, width, block, axis=1 if layout[0] == "NCHW" else 3)
        classes = int(getattr(self.model, "num_classes", 0) or 0)
        if classes and self.probe.output == (self.probe.batch, classes):
            self._add("head", "head", "", classes, "")
        self.found.sort(key=lambda item: item[0])
        sites = {
            site.name: replace(site, depth=self._depth(self._owners[site.name], time)) for time, site in self.found
        }
        return Sites(sites, self)

    def _depth(self, owner: str, time: int) -> int:
        """Index of the block a site belongs to; sites outside blocks count the blocks that came before."""
        path = owner
        while path:
            if path in self._block_index:
                return self._block_index[path]
            path = _parent(path)
        return sum(self.probe.calls[block][0].finished <= time for block in self.blocks)

    def _find_blocks(self, owners: set[str]) -> list[str]:
        """Paths of the residual blocks, in order of execution."""

        def whole(path: str) -> bool:
            calls = self.probe.calls.get(path, [])
            if len(calls) != 1 or calls[0].output is None or len(calls[0].output) < 3:
                return False
            layout = self._layout(calls[0].output, None)
            return layout is not None and calls[0].output[0] == self.probe.batch

        blocks = {path for path in owners if path and whole(path)}
        named = {
            path
            for path, module in self.modules.items()
            if path and _BLOCK.search(type(module).__name__) and not _NO_BLOCK.search(type(module).__name__)
        }
        inside = blocks | named
        for path in sorted(named - blocks):
            nested = any(other.startswith(path + ".") for other in inside)
            within = any(path.startswith(other + ".") for other in blocks)
            if not nested and not within and whole(path):
                blocks.add(path)
        if not blocks:  # VGG and the like: what timm itself calls features
            info = getattr(self.model, "feature_info", None) or []
            blocks = {str(item.get("module", "")) for item in info if isinstance(item, dict)}
            blocks = {path for path in blocks if path and whole(path)}
        ordered = sorted(blocks, key=lambda path: self.probe.calls[path][0].started)
        self._block_index = {path: i for i, path in enumerate(ordered)}
        return ordered

    # -- feed-forward layers --------------------------------------------------------------------

    def _feed_forwards(self, aliases: dict[int, list[str]]) -> list[tuple[str, str, str, int]]:
        """`(owner, path for the name, path of the module, call)` of each feed-forward layer."""
        found = []
        for path, module in self.modules.items():
            if not path or _NO_MLP.search(type(module).__name__):
                continue
            parts = mlp_parts(module)
            if parts is None:
                continue
            itself = parts.post[0].startswith("bn")  # an inverted residual is the block
            calls = self.probe.calls.get(_join(path, parts.post[0]), [])
            names = aliases[id(module)]
            shared = names if len(names) == len(calls) else [path]
            for call, name in enumerate(shared):
                found.append((path if itself else _parent(name), name, path, call))
        return found

    def _add_feed_forwards(self, found: list[tuple[str, str, str, int]]) -> None:
        counts: dict[str, int] = {}
        kept = []
        for owner, name, path, call in found:
            parts = mlp_parts(self.modules[path])
            entry = self.probe.calls.get(path, [])
            block = self.probe.first(owner)
            if parts is None or len(entry) <= call or self._mixes_tokens(name, entry[call], block):
                continue
            kept.append((owner, name, path, call, parts))
            counts[owner] = counts.get(owner, 0) + 1
        for owner, name, path, call, parts in kept:
            base = owner if counts[owner] == 1 else name
            axis = _channel_axis(self.modules[path]) or 3
            for kind, (child, when) in (("mlp", parts.post), ("mlp_pre", parts.pre)):
                record = self.probe.calls.get(_join(path, child), [])
                if len(record) <= call:
                    continue
                shape = record[call].output if when == "output" else record[call].input
                if shape is None or shape[1 if axis == 1 and len(shape) == 4 else -1] != parts.width:
                    continue
                self._add(
                    _join(base, kind), kind, _join(path, child), parts.width, owner, when=when, call=call, axis=axis
                )

    def _mixes_tokens(self, name: str, entry: Call, block: Call | None) -> bool:
        """True for layers whose channels are positions (MLP-Mixer), or that look at the pooled image (squeeze-excite)."""
        if "token" in name.rpartition(".")[2]:
            return True
        shape, outer = entry.input, block.input if block is not None else None
        if shape is None or outer is None:
            return False
        pooled = len(shape) == 4 and shape[2:] == (1, 1) and len(outer) == 4 and outer[2:] != (1, 1)
        return pooled and outer[1:3] != (1, 1)

    # -- attention ------------------------------------------------------------------------------

    def _attentions(self) -> list[tuple[str, str]]:
        """`(owner, path)` of each attention layer."""
        found = []
        for path, module in self.modules.items():
            if path and self._ran(path) and attention_parts(module, lambda name, p=path: self._ran(_join(p, name))):
                found.append((_parent(path), path))
        return found

    def _add_attentions(self, found: list[tuple[str, str]]) -> None:
        counts: dict[str, int] = {}
        for owner, _ in found:
            counts[owner] = counts.get(owner, 0) + 1
        for owner, path in found:
            module = self.modules[path]
            base = owner if counts[owner] == 1 and owner else path
            parts = attention_parts(module, lambda name, p=path: self._ran(_join(p, name)))
            windowed = self._is_windowed(owner, path) if owner else False
            heads = head_count(module)
            for letter, part in parts.items():
                target = _join(path, part.child)
                record = self.probe.first(target)
                shape = record.input if record is not None else None
                cut = windowed or shape is None or shape[0] != self.probe.batch or len(shape) > 4
                axis = _channel_axis(self.modules[target]) if part.child else 3
                kv_heads = getattr(module, "num_kv_heads", None) if letter in "kv" else None
                self._add(
                    _join(base, letter), letter, target, part.width, owner, axis=axis or 3,
                    when="input" if part.linear else "output", channels=part.channels, linear=part.linear,
                    heads=kv_heads if isinstance(kv_heads, int) else heads, windows=target if cut else None,
                )  # fmt: skip
            self._add_branch(base, owner, path, heads, windowed)

    def _add_branch(self, base: str, owner: str, path: str, heads: int | None, windowed: bool) -> None:
        """The attention branch's output, and what the heads hand to the projection that mixes them."""
        record = self.probe.calls[path][0]
        if record.output is None:
            return
        axis = _channel_axis(self.modules[path])
        order = self._order(owner, path) if owner and (windowed or record.output[0] != self.probe.batch) else None
        cut = record.output[0] != self.probe.batch or not self._plain(order, record.input)
        if not cut:
            width = record.output[1 if axis == 1 and len(record.output) == 4 else -1]
            self._add(_join(base, "attn"), "attn", path, width, owner, axis=axis, heads=heads)
        elif not self._add_follower(base, owner, record, axis, heads) and order is not None and axis != 1:
            if record.input is not None and record.input[:-1] == record.output[:-1]:  # samvit keeps its windows longer
                entry = self.probe.calls[owner][0]
                outer = self._layout(entry.input, None) if entry.input is not None else None
                if outer is not None:
                    layout = "NLC" if len(record.output) == 3 else "NHWC"
                    self._keep(
                        Site(_join(base, "attn"), "attn", path, record.output[-1], layout, outer[1], outer[2], -1, heads,
                             TapPoint(order=order, clone=record.output_mutated)), record.finished, owner,
                    )  # fmt: skip
        self._add_heads(base, owner, path, heads, cut)

    def _add_follower(self, base: str, owner: str, record: Call, axis: int | None, heads: int | None) -> bool:
        """Read the attention branch where the block has undone its windows; False where it does so in no submodule."""
        children = [name for name, _ in self.modules[owner].named_children() if _AFTER_ATTENTION.fullmatch(name)]
        later = [call for call in (self.probe.first(_join(owner, name)) for name in children) if call is not None]
        for call in sorted(later, key=lambda call: call.started):
            if call.started < record.finished or call.input is None or call.input[0] != self.probe.batch:
                continue
            width = call.input[1 if axis == 1 else -1]
            name = _join(base, "attn")
            return self._add(name, "attn", call.path, width, owner, when="input", axis=axis, heads=heads) is not None
        return False

    def _add_heads(self, base: str, owner: str, path: str, heads: int | None, cut: bool) -> None:
        projection = output_projection(self.modules[path])
        source = next((site for _, site in reversed(self.found) if site.name == _join(base, "q")), None)
        entry = self.probe.first(_join(path, projection)) if projection else None
        if entry is None or entry.input is None or source is None or heads is None:
            return
        axis = 1 if _channel_axis(self.modules[entry.path]) == 1 and len(entry.input) == 4 else len(entry.input) - 1
        name, width = _join(base, "attn_heads"), entry.input[axis]
        if width % heads:
            return
        first = self.probe.calls[source.module][0]
        raw = first.input if source.point.when == "input" else first.output
        if source.point.order is not None and raw is not None and raw[:-1] == entry.input[:-1]:
            layout = "NLC" if len(raw) == 3 else "NHWC"
            point = TapPoint("input", order=source.point.order)
            site = Site(name, "attn", entry.path, width, layout, source.prefix_tokens, source.grid, -1, heads, point)
            self._keep(site, entry.started, owner)
        elif not cut:
            self._add(name, "attn", entry.path, width, owner, when="input", axis=axis if axis == 1 else 3, heads=heads)

    def _keep(self, site: Site, time: int, owner: str) -> None:
        self.found.append((time, site))
        self._owners[site.name] = owner

    def _plain(self, order: Tensor | None, shape: tuple[int, ...] | None) -> bool:
        """True where tokens arrive in canonical order and without padding."""
        if order is None or shape is None:
            return True
        count = _tokens(shape, None) * shape[0] // self.probe.batch
        return order.numel() == count and torch.equal(order, torch.arange(count))

    # -- any other submodule --------------------------------------------------------------------

    def module_site(self, path: str) -> Site:
        """Make a site of any submodule that returns one tensor in a layout that can be told."""
        record = self.probe.calls[path][0]
        if record.output is None:
            raise VitvisError(
                f"site '{path}': this submodule of {self.name} does not return one tensor; tap one inside it"
            )
        axis = _channel_axis(self.modules[path]) if not any(True for _ in self.modules[path].children()) else None
        layout = self._layout(record.output, axis)
        if layout is None:
            raise VitvisError(
                f"site '{path}': its activation has the shape {list(record.output)} for {self.probe.batch} images, which holds "
                f"windows or no patches; sites that can be tapped: python -m vitvis.sites model={self.name}"
            )
        order = None
        unrolled = unrolled_order(self.model, record.output)
        if unrolled is not None and (layout[0] == "NLC" or len(record.output) == 4) and self._in_blocks(path):
            order, layout = unrolled[0], ("NLC" if len(record.output) == 3 else "NHWC", 0, unrolled[1])
        width = record.output[1 if layout[0] == "NCHW" else -1]
        point = TapPoint(order=order, clone=record.output_mutated)
        depth = self._depth(path, record.finished)
        return Site(path, "module", path, width, *layout, min(depth, max(len(self.blocks) - 1, 0)), None, point)


def _tokens(shape: tuple[int, ...], axis: int | None) -> int:
    """Tokens of one item of the raw batch."""
    rest = shape[2:] if axis == 1 and len(shape) == 4 else shape[1:-1]
    count = 1
    for size in rest:
        count *= size
    return count


def find_sites(backbone: Backbone) -> Sites:
    """Find every named site of a backbone, in order of execution."""
    return _Finder(backbone.model, backbone.name, backbone.image_size).find()
