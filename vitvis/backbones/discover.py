"""Recognise blocks, feed-forward layers and attention by what they are made of, and make sites of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from .attentions import attention_parts, head_count, output_projection
from .builder import SiteBuilder, Sites, channel_axis, join, parent
from .mlps import MlpParts, mlp_parts
from .neutral import neutral
from .probe import Call
from .site import Site, TapPoint
from .unrolled import unrolled_order

__all__ = ["Sites", "find_sites"]

_BLOCK = re.compile(
    r"Block|Bottle2?neck|Residual|DepthwiseSeparable|MBConv|DenseLayer|DlaBasic|Inception[A-E]$|Mixed\d|Reduction[AB]$|Cell\d?$"
)
_NO_BLOCK = re.compile(r"DropBlock|Stage|Attn|Attention|Mlp|Dense_?Block|Embed")
_NO_MLP = re.compile(r"^SE|Squeeze|RelPos|Gate$|GatherExcite|GlobalContext")
_WRAPPER = re.compile(r"Residual(Add|Drop)?")
# children of a block that receive the attention branch once its windows are undone
_AFTER_ATTENTION = re.compile(r"(ls|layer_scale|drop_path|norm)_?1?")


def _is_block(module: nn.Module) -> bool:
    kind = type(module).__name__
    return _BLOCK.search(kind) is not None and _NO_BLOCK.search(kind) is None


class _Finder(SiteBuilder):
    """Knows what the layers of vision models look like."""

    def find(self, num_classes: int | None) -> Sites:
        """Find all named sites."""
        aliases = self._aliases()
        feed_forwards = self._feed_forwards(aliases)
        attentions = self._attentions()
        inside_attention = {path for _, path in attentions}  # Swin v2 and others compute position biases with an MLP
        feed_forwards = [item for item in feed_forwards if item[0] not in inside_attention]
        self.blocks = self._find_blocks({owner for owner, *_ in feed_forwards} | {owner for owner, _ in attentions})
        self._add_feed_forwards(feed_forwards)
        self._add_attentions(attentions)
        for block in self.blocks:
            item = self._block_item(self.probe.calls[block][0])
            self.add(join(block, "block"), "block", block, None, block, item=item if item is not False else None)
        classes = int(getattr(self.model, "num_classes", 0) or 0) if num_classes is None else num_classes
        if classes and self.probe.output == (self.probe.batch, classes):
            self.add("head", "head", "", classes, "")
        self.found.sort(key=lambda item: item[0])
        sites = {
            site.name: replace(site, depth=self.depth_of(self.owners[site.name], time)) for time, site in self.found
        }
        return Sites(sites, self)

    def _aliases(self) -> dict[int, list[str]]:
        """All paths of each module: a layer with shared weights has several."""
        paths: dict[int, list[str]] = {}
        for path, module in self.model.named_modules(remove_duplicate=False):
            paths.setdefault(id(module), []).append(path)
        return paths

    def _block_item(self, call: Call) -> int | None | Literal[False]:
        """What a block returns that can be read: None for its one tensor, an index of several, False for nothing."""

        def readable(item: int | None) -> bool:
            shape = call.output if item is None else call.outputs[item]
            if shape is None or len(shape) < 3:
                return False
            if unrolled_order(self.model, call.path, shape, self.probe) is not None:
                return True
            layout = self.layout(call, item=item) if shape[0] == self.probe.batch else None
            return layout is not None and shape[1 if layout[0] == "NCHW" else -1] > 1

        if call.output is not None:
            return None if readable(None) else False
        items = [item for item in range(len(call.outputs)) if readable(item)]
        return items[0] if len(items) == 1 else False

    def _owner(self, path: str) -> str:
        """The block that a layer belongs to: what holds it, past wrappers that do nothing but add the input."""
        owner = parent(path)
        while _WRAPPER.fullmatch(type(self.modules[owner]).__name__):
            outer = parent(owner)
            if not outer or isinstance(self.modules[outer], (nn.Sequential, nn.ModuleList)):
                break
            owner = outer
        return owner

    def _find_blocks(self, owners: set[str]) -> list[str]:
        """Paths of the residual blocks, in order of execution."""

        def whole(path: str) -> bool:
            calls = self.probe.calls.get(path, [])
            return len(calls) == 1 and self._block_item(calls[0]) is not False

        blocks = {path for path in owners if path and whole(path)}
        named = {
            path
            for path, module in self.modules.items()
            if path
            and _BLOCK.search(type(module).__name__)
            and not _NO_BLOCK.search(type(module).__name__)
            and whole(path)
        }
        inside = blocks | named
        for path in sorted(named - blocks):
            nested = any(other.startswith(path + ".") for other in inside)
            within = any(path.startswith(other + ".") for other in blocks)
            if not nested and not within:
                blocks.add(path)
        if not blocks:  # VGG and the like: what timm itself calls features
            info = getattr(self.model, "feature_info", None) or []
            blocks = {str(item.get("module", "")) for item in info if isinstance(item, dict)}
            blocks = {path for path in blocks if path and whole(path)}

        def finished(path: str) -> int:
            return self.probe.calls[path][0].finished

        def apart(path: str) -> bool:
            return not any(path.startswith(b + ".") or b.startswith(path + ".") for b in blocks)

        # blocks that return several tensors that can be read (CoaT) have no `block` site, and a depth like the others
        others = {path for path in owners - blocks if path and self.ran(path) and apart(path)}
        self.block_index = {path: i for i, path in enumerate(sorted(blocks | others, key=finished))}
        return sorted(blocks, key=finished)

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
            # an inverted residual, MambaOut's gated block, transformers' ConvNeXt: what comes before is its own
            itself = parts.post[0].startswith("bn") or _is_block(module) or self._begins_before(path, parts)
            calls = self.probe.calls.get(join(path, parts.post[0]), [])
            names = aliases[id(module)]
            shared = names if len(names) == len(calls) else [path]
            for call, name in enumerate(shared):
                found.append((path if itself else self._owner(name), name, path, call))
        return found

    def _begins_before(self, path: str, parts: MlpParts) -> bool:
        """True where a module has layers with weights before its feed-forward part, as a block has."""
        first = self.probe.first(join(path, parts.first))
        if first is None or isinstance(self.modules[path], nn.Sequential):
            return False
        children = ((self.probe.first(join(path, name)), child) for name, child in self.modules[path].named_children())
        return any(
            call is not None and call.started < first.started and any(True for _ in child.parameters())
            for call, child in children
        )

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
            axis = channel_axis(self.modules[path]) or 3
            for kind, (child, when) in (("mlp", parts.post), ("mlp_pre", parts.pre)):
                record = self.probe.calls.get(join(path, child), [])
                if len(record) <= call:
                    continue
                shape = record[call].output if when == "output" else record[call].input
                if shape is None or shape[1 if axis == 1 and len(shape) == 4 else -1] != parts.width:
                    continue
                self.add(join(base, kind), kind, join(path, child), parts.width, owner, when=when, call=call, axis=axis)

    def _mixes_tokens(self, name: str, entry: Call, block: Call | None) -> bool:
        """True for layers whose channels are positions (MLP-Mixer), or that see the pooled image (squeeze-excite)."""
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
            parts = attention_parts(module, self.children_that_ran(path)) if path and self.ran(path) else {}
            if any(part.width > 1 for part in parts.values()):  # one channel: a map of places, such as CSATv2's
                found.append((self._owner(path), path))
        return found

    def _add_attentions(self, found: list[tuple[str, str]]) -> None:
        counts: dict[str, int] = {}
        for owner, _ in found:
            counts[owner] = counts.get(owner, 0) + 1
        for owner, path in found:
            module = self.modules[path]
            base = owner if counts[owner] == 1 and owner else path
            parts = attention_parts(module, self.children_that_ran(path))
            windowed = self.is_windowed(owner, path) if owner else False
            heads = head_count(module)
            for letter, part in parts.items():
                target = join(path, part.child)
                record = self.probe.first(target)
                shape = record.input if record is not None else None
                cut = windowed or shape is None or shape[0] != self.probe.batch or len(shape) > 4
                axis = channel_axis(self.modules[target]) if part.child else 3
                kv_heads = getattr(module, "num_kv_heads", None) if letter in "kv" else None
                self.add(
                    join(base, letter),
                    letter,
                    target,
                    part.width,
                    owner,
                    axis=axis or 3,
                    when="input" if part.linear else "output",
                    channels=part.channels,
                    linear=part.linear,
                    heads=kv_heads if isinstance(kv_heads, int) else heads,
                    windows=target if cut else None,
                )
            self._add_branch(base, owner, path, heads, windowed)

    def _add_branch(self, base: str, owner: str, path: str, heads: int | None, windowed: bool) -> None:
        """The attention branch's output, and what the heads hand to the projection that mixes them."""
        record = self.probe.calls[path][0]
        if record.output is None:
            return
        axis = channel_axis(self.modules[path])
        order = self.order(owner, path) if owner and (windowed or record.output[0] != self.probe.batch) else None
        cut = record.output[0] != self.probe.batch or not self.plain(order, record.input)
        if not cut or unrolled_order(self.model, path, record.output, self.probe) is not None:
            self.add(join(base, "attn"), "attn", path, None, owner, axis=axis, heads=heads)
        elif not self._add_follower(base, owner, record, axis, heads) and order is not None and axis != 1:
            if record.input is not None and record.input[:-1] == record.output[:-1]:  # samvit keeps its windows longer
                entry = self.probe.calls[owner][0]
                outer = self.layout(entry, "input")
                if outer is not None:
                    layout = "NLC" if len(record.output) == 3 else "NHWC"
                    self.keep(
                        Site(
                            join(base, "attn"),
                            "attn",
                            path,
                            record.output[-1],
                            layout,
                            outer[1],
                            outer[2],
                            -1,
                            heads,
                            TapPoint(order=order, clone=record.output_mutated),
                        ),
                        record.finished,
                        owner,
                    )
        self._add_heads(base, owner, path, heads, cut)

    def _add_follower(self, base: str, owner: str, record: Call, axis: int | None, heads: int | None) -> bool:
        """Read the attention branch where the block has undone its windows; False where it does so in no submodule."""
        children = [name for name, _ in self.modules[owner].named_children() if _AFTER_ATTENTION.fullmatch(name)]
        later = [call for call in (self.probe.first(join(owner, name)) for name in children) if call is not None]
        for call in sorted(later, key=lambda call: call.started):
            if call.started < record.finished or call.input is None or call.input[0] != self.probe.batch:
                continue
            name = join(base, "attn")
            return self.add(name, "attn", call.path, None, owner, when="input", axis=axis, heads=heads) is not None
        return False

    def _add_heads(self, base: str, owner: str, path: str, heads: int | None, cut: bool) -> None:
        projection = output_projection(self.modules[path])
        source = next((site for _, site in reversed(self.found) if site.name == join(base, "q")), None)
        entry = self.probe.first(join(path, projection)) if projection else None
        if entry is None or entry.input is None or source is None or heads is None:
            return
        axis = 1 if channel_axis(self.modules[entry.path]) == 1 and len(entry.input) == 4 else len(entry.input) - 1
        name, width = join(base, "attn_heads"), entry.input[axis]
        if width % heads:
            return
        first = self.probe.calls[source.module][0]
        raw = first.input if source.point.when == "input" else first.output
        if source.point.order is not None and raw is not None and raw[:-1] == entry.input[:-1]:
            layout = "NLC" if len(raw) == 3 else "NHWC"
            point = TapPoint("input", order=source.point.order)
            site = Site(name, "attn", entry.path, width, layout, source.prefix_tokens, source.grid, -1, heads, point)
            self.keep(site, entry.started, owner)
        elif not cut:
            self.add(name, "attn", entry.path, width, owner, when="input", axis=axis if axis == 1 else 3, heads=heads)


@torch.no_grad()
def find_sites(
    model: nn.Module, name: str, image_size: tuple[int, int], num_classes: int | None = None, channels: int = 3
) -> Sites:
    """Find every named site of a model, in order of execution.

    Args:
        model: takes normalised images `[B, C, H, W]`; in eval mode.
        name: how errors call it.
        image_size: H and W.
        num_classes: outputs of the classifier; None: what the model says.
        channels: C.
    """
    with neutral():
        return _Finder(model, name, image_size, channels).find(num_classes)
