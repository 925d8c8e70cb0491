"""The LightningModule: gradient ascent on images, the only parameter there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from vitvis.backbones import Site, Tap
from vitvis.backbones.backbone import Backbone
from vitvis.fit.settings import FitSettings

from .attention import fitting_attention, fused_attentions
from .augmentations import make_augmentations
from .chunks import Chunk
from .compile import compiled_blocks
from .images import PARAMETERIZATIONS, make_image
from .measure import describe, measure_firing
from .objective import Objective
from .patches import as_products, patch_convolutions
from .recipe import read_settings
from .regularizers import chosen_regularizers
from .schedule import rate_factor
from .shortcut import Shortcut, find_shortcut

__all__ = ["ActivationMaximization"]


class ActivationMaximization(LightningModule):
    """Optimises the images of one chunk an epoch.

        module = ActivationMaximization(backbone, chunks, settings)
        trainer = Trainer(max_epochs=len(chunks), accumulate_grad_batches=1)
        trainer.fit(module, UnitDataModule(chunks, settings.steps))

    Every image is optimised for itself: the loss is a sum over images, Adam works on each number alone, and no
    statistic is taken over the batch. An image whose gradient is NaN or infinite stops there and is marked as failed;
    the others go on. The image and Adam's state stay float32; autocast (`bf16-mixed`) reaches the backbone only.

    Args:
        backbone: the frozen model.
        chunks: what is made; epoch e works on `chunks[e]`.
        settings: of a fit, or a mapping laid over its defaults (a recipe).

    Attributes:
        image: the parameter `[U, ...]` of the current chunk.
        chunk: the current chunk, None before the first.
        step: steps that are done in it.
    """

    def __init__(self, backbone: Backbone, chunks: Sequence[Chunk], settings: FitSettings | Mapping[str, Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.chunks = list(chunks)
        self.settings = read_settings(settings)
        self.parameterization = make_image(backbone.image_size, self.settings.image)
        self.augmentations = make_augmentations(self.settings.augment, self.settings.copies)
        self.regularizers = chosen_regularizers(self.settings.regularize)
        self.image = nn.Parameter(self.parameterization.start([0]))
        self.chunk: Chunk | None = None
        self.step = 0
        self.strict_loading = False
        self._objective: Objective | None = None
        self._shortcuts: dict[str, Shortcut | None] = {}
        self._fused = fused_attentions(backbone)
        self._patches = patch_convolutions(backbone)
        self._failed = torch.zeros(1, dtype=torch.bool)
        self._before: list[float | None] = []
        self._pending: dict[str, Any] | None = None
        self._open = ExitStack()

    # -- images ---------------------------------------------------------------------------------

    @torch.no_grad()
    def images(self) -> Tensor:
        """Return the images as they are now, `[U, 3, H, W]` in [0, 1], float32."""
        with torch.autocast(self.device.type, enabled=False):
            return self.parameterization(self.image.detach()).clamp(0, 1)

    def results(self) -> list[dict[str, Any]]:
        """Measure the images of the current chunk; one row of a record an image, in the chunk's order."""
        chunk = self._current()
        images = self.images()
        after = measure_firing(self.backbone, images, chunk.site, chunk.units, self.settings.objective.tokens)
        return describe(chunk.site, images, self._before, after, self._failed.tolist())

    def _current(self) -> Chunk:
        if self.chunk is None:
            raise RuntimeError("no chunk has begun; the Trainer begins one each epoch")
        return self.chunk

    # -- a chunk --------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Begin the chunk of this epoch: a new image, a new optimiser."""
        self.begin(self.chunks[self.current_epoch])

    def begin(self, chunk: Chunk) -> None:
        """Take up a chunk: its starting images, its objective; the optimiser forgets the one before."""
        self._open.close()
        self.chunk, self.step = chunk, 0
        self._place(self.parameterization.start(chunk.seeds).to(self.device, torch.float32))
        self._failed = torch.zeros(len(chunk), dtype=torch.bool, device=self.device)
        depth = chunk.site.depth / max(1, max(site.depth for site in self.backbone.sites.values()))
        self.augmentations = make_augmentations(self.settings.augment, self.settings.copies, min(1.0, depth))
        self._objective = Objective(chunk.site, chunk.units, self.backbone.sites, self.settings.objective).to(
            self.device
        )
        tokens = self.settings.objective.tokens
        before = measure_firing(self.backbone, self.images(), chunk.site, chunk.units, tokens)
        self._before = list(before.mean.tolist())
        self._shortcuts = {}
        if self.settings.trainer.compile:
            mode = self.settings.trainer.compile_mode
            self._open.enter_context(compiled_blocks(self.backbone, chunk.site, mode))

    def _place(self, parameter: Tensor) -> None:
        """Put another image in the parameter's place; the optimiser forgets the old one."""
        self.image.grad = None
        self.image.data = parameter.contiguous()
        for optimizer in self._optimizers():
            optimizer.state.clear()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [] if self._trainer is None else list(self.trainer.optimizers)

    def on_fit_end(self) -> None:
        """Give the backbone back as it was."""
        self._open.close()

    def on_exception(self, exception: BaseException) -> None:
        """Give the backbone back as it was."""
        self._open.close()

    # -- a step ---------------------------------------------------------------------------------

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over the image alone."""
        optim = self.settings.optim
        rate = PARAMETERIZATIONS[self.settings.image.kind].default_lr if optim.lr is None else optim.lr
        return torch.optim.Adam([self.image], lr=rate, betas=(optim.betas[0], optim.betas[1]), eps=optim.eps)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Take up a checkpoint of Lightning's, which goes on inside an epoch without beginning it."""
        if self.chunk is None:
            self.begin(self.chunks[self.current_epoch])
            if self._pending is not None:
                self.load_chunk_state(self._pending)
                self._pending = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one step: minus the activations, plus the weighted regularisers, summed over images."""
        step = int(batch)
        if step != self.step or self._objective is None:
            raise RuntimeError(f"step {step} was asked for, but the chunk stands at step {self.step}")
        if self.settings.trainer.compile:
            torch.compiler.cudagraph_mark_step_begin()  # the graphs' memory of the step before is free again
        chunk, progress = self._current(), step / self.settings.steps
        with torch.autocast(self.device.type, enabled=False):
            images = self.parameterization(self.image)
            draws = self.augmentations.draw(chunk.seeds, step, progress, self.parameterization.size)
            copies = self.augmentations.apply(images, draws)
        site = self._objective.site_at(progress)
        shortcut = self._shortcut(site)
        read = site if shortcut is None else shortcut.site
        with fitting_attention(self._fused), as_products(self._patches), Tap(self.backbone, [read]) as tap:
            found = tap(copies)[read.name]
        with torch.autocast(self.device.type, enabled=False):
            if shortcut is None:
                values = self._objective.values(found, progress)
            else:
                values = shortcut.read(found, self.settings.objective.tokens)
            activation = self._objective.finish(values, progress).mean(dim=1)
            terms = self._penalties(images, copies)
            loss = -activation.sum()
            for name, values in terms.items():
                loss = loss + self.regularizers[name][1] * values.sum()
            self._failed |= ~activation.detach().isfinite()
        self._log(loss, activation, terms)
        return loss

    def _shortcut(self, site: Site) -> Shortcut | None:
        """Return the short way to the chunk's units at a site, looked for once a chunk."""
        if site.name not in self._shortcuts:
            objective, found = self._objective, None
            assert objective is not None
            if not objective.any_cosine:  # a cosine needs the whole vector
                with torch.autocast(self.device.type, enabled=False):  # in bf16 the two ways never agree
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

    def _log(self, loss: Tensor, activation: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Log means over images, so that curves of chunks of any size compare; nothing waits for the device."""
        if self._trainer is None:
            return
        count = len(activation)
        values = {"loss": loss.detach() / count, "activation": activation.detach().mean()}
        for name, value in terms.items():
            values[f"loss/{name}"] = self.regularizers[name][1] * value.detach().mean()
        self.log_dict(values, on_step=True, on_epoch=False, batch_size=count)

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
        factor = rate_factor(self.settings.optim.schedule, self.step / self.settings.steps)
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * factor

    @torch.no_grad()
    def step_done(self) -> None:
        """Bring the parameter back to where it means an image, and count the step."""
        self.parameterization.project(self.image)
        self.step += 1

    # -- going on inside a chunk ----------------------------------------------------------------

    def chunk_state(self) -> dict[str, Any]:
        """Return what the current chunk goes on from: image, Adam's state, step; loads with `weights_only=True`."""
        chunk = self._current()
        moments: dict[str, Any] = {}
        for optimizer in self._optimizers():
            moments = {
                name: value.detach().cpu().clone() for name, value in optimizer.state.get(self.image, {}).items()
            }
        return {
            "targets": [list(target) for target in chunk.targets],
            "step": self.step,
            "image": self.image.detach().cpu().clone(),
            "optimizer": moments,
            "before": list(self._before),
            "failed": self._failed.cpu(),
        }

    def load_chunk_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the current chunk.

        Raises:
            ValueError: the state is of other units or seeds.
        """
        chunk = self._current()
        if [tuple(target) for target in state["targets"]] != list(chunk.targets):
            raise ValueError(f"this state is not of the chunk {chunk.name}")
        self._place(state["image"].to(self.device, torch.float32))
        moments = {
            name: value if name == "step" else value.to(self.device) for name, value in state["optimizer"].items()
        }
        for optimizer in self._optimizers():
            if moments:
                optimizer.state[self.image] = dict(moments)
        self._before = list(state["before"])
        self._failed = state["failed"].to(self.device)
        self.step = int(state["step"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the image and the optimiser in Lightning's own checkpoints, never the backbone."""
        checkpoint["state_dict"] = {}
        checkpoint["optimizer_states"] = []
        checkpoint["chunk"] = self.chunk_state() if self.chunk is not None else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the state up when the epoch goes on; Adam's moments come with it."""
        checkpoint["optimizer_states"] = [optimizer.state_dict() for optimizer in self._optimizers()]
        self._pending = checkpoint.get("chunk")
        if self._pending is not None and 0 < self._pending["step"] < self.settings.steps:
            datamodule = getattr(self.trainer, "datamodule", None)
            if datamodule is not None:
                datamodule.start_step = self._pending["step"]
        else:
            self._pending = None
