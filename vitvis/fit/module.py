"""The LightningModule: gradient ascent on images, the only parameter there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from vitvis.backbones import Unit
from vitvis.backbones.backbone import Backbone
from vitvis.backbones.neutral import without_autocast
from vitvis.fit.settings import FitSettings

from .alpha import opacity
from .ascent import Ascent
from .augmentations import Augmentations, make_augmentations
from .bearing import Bearing, bearing_of
from .checkpoints import ChunkPart
from .chunks import Chunk, relative_depth
from .datamodule import Step
from .diversity import photos_of
from .images import PARAMETERIZATIONS, Parameterization, make_image, shrink
from .levers import Levers
from .matching import Album
from .measure import describe, measure_firing
from .objective import Objective
from .photos import SearchedUnits
from .plateau import Plateau
from .reader import Reader
from .recipe import read_settings
from .regularizers import Regularizer, chosen_regularizers, weighted_penalties
from .schedule import rate_factor

__all__ = ["ActivationMaximization", "ChunkPart"]


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
        ascent: what goes along with the image: Adam, who has left the batch, who has failed.
        reader: how a step reads the backbone.

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
        self.ascent = Ascent()
        self.image = self.ascent.begin(self.parameterization.start([0]))
        self.reader = Reader(backbone, self.settings)
        self.chunk: Chunk | None = None
        self.step = 0
        self.strict_loading = False
        self._before: list[float | None] = []
        self._pending: dict[str, Any] | None = None

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
        augment, depth = self.bearing_of(chunk).settings.augment, relative_depth(chunk.site, self.backbone.sites)
        size, channels = self.backbone.image_size, self.backbone.channels
        return make_augmentations(augment, self.settings.copies, depth, size, channels)

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
        return self.ascent.optimizer(self.image, lr=rate, betas=(optim.betas[0], optim.betas[1]), eps=optim.eps)

    # -- images ---------------------------------------------------------------------------------

    @torch.no_grad()
    def images(self) -> Tensor:
        """Return the images as they are now, `[U, C, H, W]` in [0, 1], float32."""
        with without_autocast(self.device.type):
            progress = self.step / self.settings.steps
            images = self.parameterization.render(self.ascent.roster.whole("image", self.image.detach()), progress)
            return shrink(images, self.backbone.image_size).clamp(0, 1)

    @torch.no_grad()
    def pictures(self) -> Tensor:
        """Return the images as they are kept: with alpha as a fourth channel where the settings ask for it."""
        images, gradients = self.images(), self.levers.gradients
        if gradients is None or self.settings.alpha is None:
            return images
        alpha = opacity(self.ascent.roster.whole("alpha", gradients.total), self.settings.alpha)
        alpha = shrink(alpha, self.backbone.image_size)
        return torch.cat([images, alpha.clamp(0, 1)], dim=1)

    def results(self) -> list[dict[str, Any]]:
        """Measure the images of the current chunk; one row of a record an image, in the chunk's order."""
        chunk, images = self._current(), self.images()
        after = measure_firing(self.backbone, images, chunk.site, chunk.units, self.settings.objective.tokens)
        failed = self.ascent.roster.whole("failed", self.ascent.failed).tolist()
        rows = describe(chunk.site, images, self._before, after, failed)
        if self.bearing.changes is not None:
            rows = [row | {"suited": list(self.bearing.changes)} for row in rows]
        if self.plateau is not None:
            ended = self.ascent.roster.whole("ended", self.plateau.ended).tolist()
            rows = [row | {"steps": int(steps)} for row, steps in zip(rows, ended, strict=True)]
        return [row | more for row, more in zip(rows, self.levers.describe(after.mean), strict=True)]

    def _current(self) -> Chunk:
        if self.chunk is None:
            raise RuntimeError("no chunk has begun; the first batch of one begins it")
        return self.chunk

    # -- a chunk --------------------------------------------------------------------------------

    def begin(self, chunk: Chunk) -> None:
        """Take up a chunk: its starting images, its objective; the optimiser forgets the one before."""
        self.reader.close()
        self.chunk, self.active, self.step = chunk, chunk, 0
        self.bearing = self.bearing_of(chunk)
        self.parameterization.suit(relative_depth(chunk.site, self.backbone.sites), self.bearing.settings.image)
        self.image = self.ascent.begin(self.parameterization.start(chunk.seeds).to(self.device, torch.float32))
        self.augmentations = self.configure_augmentations(chunk)
        self.objective = self.configure_objective(chunk).to(self.device)
        tokens = self.settings.objective.tokens
        before = measure_firing(self.backbone, self.images(), chunk.site, chunk.units, tokens)
        self._before = list(before.mean.tolist())
        size = self.parameterization.size
        self.levers = Levers(self.settings, self.backbone, chunk, before.spread, size, self.album, self.photos)
        stop, bands = self.settings.stop, self.settings.image.bands
        self.plateau = None if stop is None else Plateau(stop, len(chunk), self.settings.steps, bands, self.device)
        self.reader.begin(chunk.site)

    def bearing_of(self, chunk: Chunk) -> Bearing:
        """Return the recipe as the units of a chunk get it."""
        kinds = (site.kind for site in self.backbone.sites.values())
        return bearing_of(self.settings, chunk.site, kinds, self.backbone.image_size)

    def on_fit_end(self) -> None:
        """Give the backbone back as it was."""
        self.reader.close()

    def on_exception(self, exception: BaseException) -> None:
        """Give the backbone back as it was."""
        self.reader.close()

    # -- a step ---------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Step, batch_idx: int) -> None:
        """Begin a chunk with its first batch, from where a run or a checkpoint of Lightning's has left it."""
        if batch.state is None:
            self._let_go(batch.step)
            return
        self.begin(batch.chunk)
        pending, self._pending = self._pending, None
        if pending is not None and pending["step"] == batch.step and batch.chunk.is_of(pending):
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
        self.reader.begin_step()
        objective, progress = self.objective, step / self.settings.steps
        with without_autocast(self.device.type):
            images = self.parameterization.render(self.image, progress)
            self.levers.watch(images, step)
            draws = self.augmentations.draw(self.active.seeds, step, progress, self.backbone.image_size)
            copies = self.augmentations.apply(images, draws, self.levers.strength)
        values, found = self.reader.read(copies, objective, progress, self.levers.sites, self.images)
        with without_autocast(self.device.type):
            activation = objective.finish(values, progress).mean(dim=1)
            loss, curves = -activation.sum(), {"activation": activation.detach().mean()}
            if self.plateau is not None:
                self.plateau.follow(objective.finish(values.detach(), 1.0).mean(dim=1), step)
            terms = self.levers.terms(values, activation, found)
            penalties = weighted_penalties(self.regularizers, images, copies)
            for name, term in [*terms.items(), *penalties.items()]:
                loss, curves[f"loss/{name}"] = loss + term.sum(), term.detach().mean()
            self.ascent.failed |= ~activation.detach().isfinite()
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
        if 0 < len(staying) < len(self.active):
            gradients, ended = self.levers.gradients, {"ended": self.plateau.ended}
            others = ended if gradients is None else ended | {"alpha": gradients.total}
            self.image = self.ascent.leave(self.image, staying, others)
            self._keep(staying)

    def _keep(self, rows: Tensor) -> None:
        """Go on with the units of some images of the batch alone."""
        self.active = self.active.at(rows.tolist())
        for part in (self.objective, self.levers, self.plateau, self.reader):
            if part is not None:
                part.keep(rows)

    def on_train_batch_end(self, outputs: Any, batch: Step, batch_idx: int) -> None:
        """Log the curves; nothing waits for the device."""
        self.log_dict(outputs["curves"], on_step=True, on_epoch=False, batch_size=len(self.active))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop images whose gradient is NaN or infinite, without asking the device whether there are any."""
        self.ascent.stop_failed(self.image)

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
            self.ascent.remember(self.image)
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * factor * self.bearing.rate

    @torch.no_grad()
    def step_done(self) -> None:
        """Bring the parameter back to where it means an image, and count the step."""
        if self.plateau is not None:
            self.ascent.scale(self.image, self.plateau.factor)
        self.parameterization.project(self.image)
        self.step += 1

    # -- going on inside a chunk ----------------------------------------------------------------

    def _parts(self) -> dict[str, ChunkPart]:
        """Return the parts of the chunk that remember something."""
        parts = {name: getattr(self, name) for name in ("augmentations", "objective", "levers", "plateau")}
        return {name: part for name, part in parts.items() if isinstance(part, ChunkPart)}

    def chunk_state(self) -> dict[str, Any]:
        """Return what the current chunk goes on from: image, Adam's state, step; loads with `weights_only=True`."""
        chunk = self._current()
        return {
            "targets": [list(target) for target in chunk.targets],
            "step": self.step,
            "before": list(self._before),
            **self.ascent.state(self.image),
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_chunk_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the current chunk.

        Raises:
            ValueError: the state is of other units or seeds.
        """
        chunk = self._current()
        if not chunk.is_of(state):
            raise ValueError(f"this state is not of the chunk {chunk.name}")
        self.image = self.ascent.load(state, self.device)
        if self.ascent.roster.rows is not None:
            self._keep(self.ascent.roster.rows)
        self._before = list(state["before"])
        self.step = int(state["step"])
        for name, part in self._parts().items():
            if name in state["parts"]:
                part.load_state_dict(state["parts"][name])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the image and the optimiser in Lightning's own checkpoints, never the backbone."""
        checkpoint["state_dict"] = {}
        checkpoint["optimizer_states"] = []
        checkpoint["chunk"] = self.chunk_state() if self.chunk is not None else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the state up with the first batch; Adam's moments come with it."""
        self._pending = checkpoint.get("chunk")
