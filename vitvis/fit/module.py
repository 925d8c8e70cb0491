"""The LightningModule: gradient ascent on images, the only parameter there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, runtime_checkable

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from vitvis.backbones import Site, Tap, Unit
from vitvis.backbones.backbone import Backbone
from vitvis.backbones.bfloat16 import CastWeights, fitting_attention, fused_attentions
from vitvis.backbones.neutral import without_autocast
from vitvis.fit.settings import FitSettings

from .alpha import opacity
from .augmentations import Augmentations, make_augmentations
from .bearing import Bearing, bearing_of
from .chunks import Chunk
from .compile import compiled_blocks
from .datamodule import Step
from .diversity import photos_of
from .images import PARAMETERIZATIONS, Parameterization, make_image, shrink
from .levers import Levers
from .matching import Album
from .measure import describe, measure_firing
from .objective import Objective
from .patches import as_products, patch_convolutions
from .photos import SearchedUnits
from .plateau import Plateau
from .recipe import read_settings
from .regularizers import Regularizer, chosen_regularizers
from .roster import Roster
from .schedule import rate_factor
from .shortcut import Shortcut, find_shortcut

__all__ = ["ActivationMaximization", "ChunkPart"]


@runtime_checkable
class ChunkPart(Protocol):
    """A part of a chunk that remembers something from step to step; it is kept in the chunk's checkpoints.

    Augmentations or an objective with these two methods are such a part. States load with `weights_only=True`.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Remember this."""


class ActivationMaximization(LightningModule):
    """Optimises the images of one chunk after the other.

        module = ActivationMaximization(backbone, settings)
        Trainer(max_epochs=1).fit(module, UnitDataModule(chunks, settings.steps))

    Every image is optimised for itself: the loss is a sum over images, Adam works on each number alone, and no
    statistic is taken over the batch. An image whose gradient is NaN or infinite stops there and is marked as failed;
    the others go on. The image and Adam's state stay float32; autocast (`bf16-mixed`) reaches the backbone only.

    To put a part of your own in, override one of `configure_images`, `configure_augmentations`, `configure_objective`,
    `configure_regularizers`.

    Args:
        backbone: the frozen model.
        settings: of a fit, or a mapping laid over its defaults (a recipe).

    Attributes:
        image: the parameter `[U, ...]` of the current chunk.
        chunk: the current chunk, None before the first.
        active: those of its images that are in the batch: all but those that have stopped at their plateau.
        step: steps that are done in it.
        augmentations: of the current chunk.
        objective: of the current chunk.
        levers: what else the recipe has, of the current chunk.
        bearing: the recipe as the units of the current chunk get it.

    Raises:
        VitvisError: a part of the recipe that there is not, or arguments that it does not take.
    """

    augmentations: Augmentations
    objective: Objective
    levers: Levers
    bearing: Bearing
    active: Chunk
    plateau: Plateau | None

    def __init__(self, backbone: Backbone, settings: FitSettings | Mapping[str, Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.settings = read_settings(settings)
        self.parameterization = self.configure_images()
        self.regularizers = self.configure_regularizers()
        self.album = None if self.settings.match is None else Album(self.settings.match, backbone)
        self.photos: SearchedUnits | None = None
        self.image = nn.Parameter(self.parameterization.start([0]))
        self.chunk: Chunk | None = None
        self.step = 0
        self.strict_loading = False
        self._adam: torch.optim.Optimizer | None = None
        self._shortcuts: dict[str, Shortcut | None] = {}
        self._fused = fused_attentions(backbone)
        self._patches = patch_convolutions(backbone, backbone.channels)
        self._weights = CastWeights(backbone)
        self._failed = torch.zeros(1, dtype=torch.bool)
        self._before: list[float | None] = []
        self._pending: dict[str, Any] | None = None
        self._roster = Roster()
        self._previous: Tensor | None = None
        self._open = ExitStack()

    # -- parts: each may be overridden ----------------------------------------------------------

    def configure_images(self) -> Parameterization:
        """Return how pixels come from the parameter; called once."""
        rows, columns = (round(side * self.settings.image.canvas) for side in self.backbone.image_size)
        return make_image((rows, columns), self.settings.image, self.backbone.channels)

    def configure_regularizers(self) -> dict[str, tuple[Regularizer, float]]:
        """Return the terms of the loss with their weights, by name; called once."""
        return chosen_regularizers(self.settings.regularize)

    def configure_augmentations(self, chunk: Chunk) -> Augmentations:
        """Return what the copies of a chunk's images go through."""
        size = self.backbone.image_size
        augment, channels = self.bearing_of(chunk).settings.augment, self.backbone.channels
        return make_augmentations(augment, self.settings.copies, self._depth_of(chunk), size, channels)

    def configure_objective(self, chunk: Chunk) -> Objective:
        """Return what a chunk maximises."""
        return Objective(chunk.site, chunk.units, self.backbone.sites, self.settings.objective)

    def configure_gate(self, units: Sequence[Unit]) -> None:
        """Read what the gate of variants asks; called once, with all units of a run.

        Raises:
            VitvisError: the search that the recipe names can't answer for them.
        """
        if self.settings.variants > 1:
            self.photos = photos_of(self.settings.diversity, self.backbone, units, self.settings.objective.tokens)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over the image alone."""
        optim = self.settings.optim
        rate = PARAMETERIZATIONS[self.settings.image.kind].default_lr if optim.lr is None else optim.lr
        betas = (optim.betas[0], optim.betas[1])
        self._adam = torch.optim.Adam([self.image], lr=rate, betas=betas, eps=optim.eps)
        return self._adam

    # -- images ---------------------------------------------------------------------------------

    @torch.no_grad()
    def images(self) -> Tensor:
        """Return the images as they are now, `[U, C, H, W]` in [0, 1], float32."""
        with without_autocast(self.device.type):
            progress = self.step / self.settings.steps
            images = self.parameterization.render(self._roster.whole("image", self.image.detach()), progress)
            return shrink(images, self.backbone.image_size).clamp(0, 1)

    @torch.no_grad()
    def pictures(self) -> Tensor:
        """Return the images as they are kept: with alpha as a fourth channel where the settings ask for it."""
        images, gradients = self.images(), self.levers.gradients
        if gradients is None or self.settings.alpha is None:
            return images
        alpha = opacity(self._roster.whole("alpha", gradients.total), self.settings.alpha)
        alpha = shrink(alpha, self.backbone.image_size)
        return torch.cat([images, alpha.clamp(0, 1)], dim=1)

    def results(self) -> list[dict[str, Any]]:
        """Measure the images of the current chunk; one row of a record an image, in the chunk's order."""
        chunk = self._current()
        images = self.images()
        after = measure_firing(self.backbone, images, chunk.site, chunk.units, self.settings.objective.tokens)
        rows = describe(chunk.site, images, self._before, after, self._roster.whole("failed", self._failed).tolist())
        changes = self.bearing.changes
        if changes is not None:
            rows = [row | {"suited": list(changes)} for row in rows]
        if self.plateau is not None:
            ended = self._roster.whole("ended", self.plateau.ended).tolist()
            rows = [row | {"steps": int(steps)} for row, steps in zip(rows, ended, strict=True)]
        return [row | more for row, more in zip(rows, self.levers.describe(after.mean), strict=True)]

    def _current(self) -> Chunk:
        if self.chunk is None:
            raise RuntimeError("no chunk has begun; the first batch of one begins it")
        return self.chunk

    # -- a chunk --------------------------------------------------------------------------------

    def begin(self, chunk: Chunk) -> None:
        """Take up a chunk: its starting images, its objective; the optimiser forgets the one before."""
        self._open.close()
        self.chunk, self.active, self.step = chunk, chunk, 0
        self._roster = Roster()
        self.bearing = self.bearing_of(chunk)
        self.parameterization.suit(self._depth_of(chunk), self.bearing.settings.image)
        self._place(self.parameterization.start(chunk.seeds).to(self.device, torch.float32))
        self._failed = torch.zeros(len(chunk), dtype=torch.bool, device=self.device)
        self.augmentations = self.configure_augmentations(chunk)
        self.objective = self.configure_objective(chunk).to(self.device)
        tokens = self.settings.objective.tokens
        before = measure_firing(self.backbone, self.images(), chunk.site, chunk.units, tokens)
        self._before = list(before.mean.tolist())
        size = self.parameterization.size
        self.levers = Levers(self.settings, self.backbone, chunk, before.spread, size, self.album, self.photos)
        stop, bands = self.settings.stop, self.settings.image.bands
        self.plateau = None if stop is None else Plateau(stop, len(chunk), self.settings.steps, bands, self.device)
        self._shortcuts = {}
        if self.settings.trainer.compile:
            mode = self.settings.trainer.compile_mode
            self._open.enter_context(compiled_blocks(self.backbone, chunk.site, mode))

    def bearing_of(self, chunk: Chunk) -> Bearing:
        """Return the recipe as the units of a chunk get it."""
        return bearing_of(self.settings, chunk.site, (site.kind for site in self.backbone.sites.values()))

    def _depth_of(self, chunk: Chunk) -> float:
        """Return the depth of a chunk's site: 0 in the first block, 1 behind the last, whatever head there is."""
        sites = self.backbone.sites.values()
        blocks = max((site.depth + 1 for site in sites if site.kind == "block"), default=0)
        return min(1.0, chunk.site.depth / (blocks or max(1, *(site.depth for site in sites))))

    def _place(self, parameter: Tensor) -> None:
        """Put another image in the parameter's place; the optimiser forgets the old one.

        It is a parameter of its own: a graph of the step before that somebody still holds knows the old one's size.
        """
        self.image = nn.Parameter(parameter.detach().contiguous())
        if self._adam is not None:
            self._adam.state.clear()
            self._adam.param_groups[0]["params"] = [self.image]

    def on_fit_end(self) -> None:
        """Give the backbone back as it was."""
        self._open.close()

    def on_exception(self, exception: BaseException) -> None:
        """Give the backbone back as it was."""
        self._open.close()

    # -- a step ---------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Step, batch_idx: int) -> None:
        """Begin a chunk with its first batch, from where a run or a checkpoint of Lightning's has left it."""
        if batch.state is None:
            self._let_go(batch.step)
            return
        self.begin(batch.chunk)
        pending, self._pending = self._pending, None
        if pending is not None and pending["step"] == batch.step and self._is_of(pending, batch.chunk):
            self.load_chunk_state(pending)
        elif batch.state:
            self.load_chunk_state(batch.state["module"])

    def training_step(self, batch: Step, batch_idx: int) -> dict[str, Any]:
        """Return the loss of one step: minus the activations, plus the weighted regularisers, summed over images.

        Returns:
            `loss`, and `curves`: means over images by name, so that those of chunks of any size compare.
        """
        step = batch.step
        if step != self.step or batch.chunk is not self.chunk:
            raise RuntimeError(f"step {step} was asked for, but the chunk stands at step {self.step}")
        if self.settings.trainer.compile:
            torch.compiler.cudagraph_mark_step_begin()  # the graphs' memory of the step before is free again
        objective, progress = self.objective, step / self.settings.steps
        with without_autocast(self.device.type):
            images = self.parameterization.render(self.image, progress)
            self.levers.watch(images, step)
            draws = self.augmentations.draw(self.active.seeds, step, progress, self.backbone.image_size)
            copies = self.augmentations.apply(images, draws, self.levers.strength)
        site = objective.site_at(progress)
        shortcut = self._shortcut(site)
        read = site if shortcut is None else shortcut.site
        sites = [*self.levers.sites, read]
        with (
            fitting_attention(self._fused),
            as_products(self._patches),
            self._weights.use(self.device.type),
            Tap(self.backbone, sites) as tap,
        ):
            tapped = tap(copies)
            found = tapped[read.name]
        with without_autocast(self.device.type):
            if shortcut is None:
                values = objective.values(found, progress)
            else:
                values = shortcut.read(found, self.settings.objective.tokens)
            activation = objective.finish(values, progress).mean(dim=1)
            loss, curves = -activation.sum(), {"activation": activation.detach().mean()}
            if self.plateau is not None:
                self.plateau.follow(objective.finish(values.detach(), 1.0).mean(dim=1), step)
            for name, term in self.levers.terms(values, activation, tapped).items():
                loss, curves[f"loss/{name}"] = loss + term.sum(), term.detach().mean()
            for name, values in self._penalties(images, copies).items():
                weight = self.regularizers[name][1]
                loss = loss + weight * values.sum()
                curves[f"loss/{name}"] = weight * values.detach().mean()
            self._failed |= ~activation.detach().isfinite()
        return {"loss": loss, "curves": {"loss": loss.detach() / len(self.active), **curves}}

    def is_over(self, chunk: Chunk, step: int) -> bool:
        """Say whether all images of the chunk at hand are done before a step, which is then its last."""
        plateau = self.plateau if self.chunk is chunk and self.step == step else None
        return plateau is not None and plateau.look(step) and bool((plateau.cooled >= 1).all())

    def _let_go(self, step: int) -> None:
        """Let images that are done leave the batch; a compiled model, which is made for one size, keeps them."""
        if self.plateau is None or self.settings.trainer.compile or not self.plateau.look(step):
            return
        staying = (self.plateau.cooled < 1).nonzero().flatten()
        if len(staying) in (0, len(self.active)):
            return
        tensors = {"image": self.image, "failed": self._failed, "ended": self.plateau.ended}
        if self.levers.gradients is not None:
            tensors["alpha"] = self.levers.gradients.total
        self._roster.leave(staying, tensors)
        moments = {} if self._adam is None else dict(self._adam.state.get(self.image, {}))
        self._keep(staying)
        self._place(self.image.data[staying])
        if self._adam is not None and moments:
            self._adam.state[self.image] = {
                name: value if name == "step" else value[staying].contiguous() for name, value in moments.items()
            }
        self._failed = self._failed[staying]
        self.plateau.keep(staying)

    def _keep(self, rows: Tensor) -> None:
        """Go on with the units of some images of the batch alone."""
        self.active = self.active.at(rows.tolist())
        self.objective.keep(rows)
        self.levers.keep(rows)
        self._shortcuts = {name: short and short.keep(rows) for name, short in self._shortcuts.items()}

    def _shortcut(self, site: Site) -> Shortcut | None:
        """Return the short way to the chunk's units at a site, looked for once a chunk."""
        if site.name not in self._shortcuts:
            objective, found = self.objective, None
            if objective.linear:
                with without_autocast(self.device.type):  # in bf16 the two ways never agree
                    found = find_shortcut(
                        self.backbone,
                        site,
                        objective.directions,
                        self.images()[:1],
                        plain=objective.channels is not None,
                        tokens=self.settings.objective.tokens,
                    )
            self._shortcuts[site.name] = found
        return self._shortcuts[site.name]

    def _penalties(self, images: Tensor, copies: Tensor) -> dict[str, Tensor]:
        """Value of every regulariser before its weight, `[U]` each."""
        values = {}
        for name, (term, _) in self.regularizers.items():
            if term.on == "copies":
                values[name] = term.penalty(copies).unflatten(0, (len(images), -1)).mean(dim=1)
            else:
                values[name] = term.penalty(images)
        return values

    def on_train_batch_end(self, outputs: Any, batch: Step, batch_idx: int) -> None:
        """Log the curves; nothing waits for the device."""
        self.log_dict(outputs["curves"], on_step=True, on_epoch=False, batch_size=len(self.active))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop images whose gradient is NaN or infinite, without asking the device whether there are any."""
        gradient = self.image.grad
        if gradient is None:
            return
        shape = (-1, *[1] * (gradient.ndim - 1))
        self._failed |= ~gradient.flatten(1).isfinite().all(dim=1)
        gradient.masked_fill_(self._failed.view(shape), 0.0)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Step with the rate of the schedule, then bring the parameter back to where it means an image."""
        self.set_rate(optimizer)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.step_done()

    def set_rate(self, optimizer: torch.optim.Optimizer) -> None:
        """Give the optimiser the rate of this step."""
        factor = 1.0
        if self.plateau is None:
            factor = rate_factor(self.settings.optim.schedule, self.step / self.settings.steps)
        else:
            self._previous = self.image.detach().clone()
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * factor * self.bearing.rate

    @torch.no_grad()
    def step_done(self) -> None:
        """Bring the parameter back to where it means an image, and count the step."""
        if self.plateau is not None and self._previous is not None:  # Adam's step is in proportion to its rate
            factor = self.plateau.factor.view(-1, *[1] * (self.image.ndim - 1))
            self.image.copy_(torch.lerp(self._previous, self.image, factor))
        self.parameterization.project(self.image)
        self.step += 1

    # -- going on inside a chunk ----------------------------------------------------------------

    def _parts(self) -> dict[str, ChunkPart]:
        """Return the parts of the chunk that remember something."""
        parts: dict[str, Any] = {
            "augmentations": self.augmentations, "objective": self.objective, "levers": self.levers,
            "plateau": self.plateau,
        }  # fmt: skip
        return {name: part for name, part in parts.items() if isinstance(part, ChunkPart)}

    def chunk_state(self) -> dict[str, Any]:
        """Return what the current chunk goes on from: image, Adam's state, step; loads with `weights_only=True`."""
        chunk = self._current()
        moments = {} if self._adam is None else self._adam.state.get(self.image, {})
        return {
            "targets": [list(target) for target in chunk.targets],
            "step": self.step,
            "image": self.image.detach().cpu().clone(),
            "optimizer": {name: value.detach().cpu().clone() for name, value in moments.items()},
            "before": list(self._before),
            "failed": self._failed.cpu(),
            "roster": self._roster.state_dict(),
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_chunk_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the current chunk.

        Raises:
            ValueError: the state is of other units or seeds.
        """
        chunk = self._current()
        if not self._is_of(state, chunk):
            raise ValueError(f"this state is not of the chunk {chunk.name}")
        self._roster.load_state_dict(state["roster"], self.device)
        if self._roster.rows is not None:
            self._keep(self._roster.rows)
        self._place(state["image"].to(self.device, torch.float32))
        moments = {
            name: value if name == "step" else value.to(self.device) for name, value in state["optimizer"].items()
        }
        if self._adam is not None and moments:
            self._adam.state[self.image] = moments
        self._before = list(state["before"])
        self._failed = state["failed"].to(self.device)
        self.step = int(state["step"])
        for name, part in self._parts().items():
            if name in state["parts"]:
                part.load_state_dict(state["parts"][name])

    @staticmethod
    def _is_of(state: Mapping[str, Any], chunk: Chunk) -> bool:
        return [tuple(target) for target in state["targets"]] == list(chunk.targets)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the image and the optimiser in Lightning's own checkpoints, never the backbone."""
        checkpoint["state_dict"] = {}
        checkpoint["optimizer_states"] = []
        checkpoint["chunk"] = self.chunk_state() if self.chunk is not None else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the state up with the first batch; Adam's moments come with it."""
        self._pending = checkpoint.get("chunk")
