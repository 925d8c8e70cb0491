"""The training of a dictionary: activations come from the tap, round by round, and are trained on in shuffled steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from vitvis.backbones import Backbone, Site, Tap, select_tokens
from vitvis.data.loader import Batch
from vitvis.dictionary.sae import TopKAutoencoder, explained_variance
from vitvis.dictionary.settings import DictionarySettings
from vitvis.errors import VitvisError

__all__ = ["DictionaryTraining"]


class DictionaryTraining(pl.LightningModule):
    """Trains a TopK autoencoder on the activations of one site; the backbone stays frozen.

    Images go through the tap until a round of tokens is together; these are shuffled, trained on, and dropped: no
    activation is ever written to the disk. What a round draws depends on the seed and its number alone, and a round
    begins from the weights, Adam's state and the latents' last activity, which is all that a checkpoint holds.

    Args:
        backbone: the model.
        site: whose activations are meant.
        settings: of the command.
        steps: that the training will take, for the schedule of the rate.

    Attributes:
        sae: the autoencoder, of activations `(x - mean) / scale`.
        mean: `[D]`, of the first round's activations.
        scale: mean length of the first round's activations from their mean, over the square root of D.
        asleep: int64 `[K]`, tokens since each latent was last on.
        rounds: that are done.
        curves: of the last round: `explained_variance`, `l0`, `dead_share`, `loss`, `lr`.
    """

    mean: Tensor
    scale: Tensor
    asleep: Tensor

    def __init__(self, backbone: Backbone, site: Site, settings: DictionarySettings, steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.site, self.settings, self.steps = site, settings, steps
        self.latents = max(1, round(settings.expansion * site.width))
        if settings.k > self.latents:
            raise VitvisError(f"k={settings.k}: is more than the {self.latents} latents that there are")
        generator = torch.Generator().manual_seed(settings.seed)
        self.sae = TopKAutoencoder(site.width, self.latents, settings.k, generator)
        self.register_buffer("mean", torch.zeros(site.width))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("asleep", torch.zeros(self.latents, dtype=torch.int64))
        self.backbone = backbone
        self.rounds = self.step = 0
        self.curves: dict[str, float] = {}
        self._held: list[Tensor] = []
        self._tap: Tap | None = None
        self._adam_state: dict[str, Any] | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over the autoencoder alone."""
        adam = torch.optim.Adam(self.sae.parameters(), lr=self.settings.lr)
        if self._adam_state is not None:
            adam.load_state_dict(self._adam_state)
        return adam

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the photos."""
        return batch.to(device)

    # -- activations ----------------------------------------------------------------------------

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """Return the activations of images `[B, C, H, W]`, `[B * T, D]`, of the tokens that count."""
        with Tap(self.backbone, [self.site]) as tap:
            found = tap(images, dtype=torch.float32)[self.site.name]
        return select_tokens(found, self.site, self.settings.tokens).reshape(-1, self.site.width)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch of photos in, and train where a round is together; the last batch's is whatever is there."""
        if batch.failure:
            raise VitvisError(batch.failure)
        if len(batch):
            found = self.read(batch.images)
            if not bool(found.isfinite().all()):
                raise VitvisError(f"site={self.site.name}: an activation is no finite number (batch {batch.number})")
            self._held.append(found)
        last = batch_idx + 1 == self.trainer.num_training_batches
        if self._held and (last or (batch.number + 1) % self.batches_a_round == 0):
            self._train_round(torch.cat(self._held))
            self._held.clear()

    #: Batches of photos that make a round; the engine sets it.
    batches_a_round = 1

    # -- a round --------------------------------------------------------------------------------

    def _train_round(self, activations: Tensor) -> None:
        if self.rounds == 0:
            self._begin(activations)
        inputs = (activations - self.mean) / self.scale
        adam = cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))
        generator = torch.Generator().manual_seed((self.settings.seed << 20) + self.rounds + 1)
        sums = torch.zeros(3, device=inputs.device)
        steps = 0
        for _ in range(self.settings.repeats):
            order = torch.randperm(len(inputs), generator=generator).to(inputs.device)
            for chosen in order.split(self.settings.batch):
                sums += self._step(inputs[chosen], adam)
                steps += 1
        loss, explained, l0 = (sums / max(steps, 1)).tolist()
        self.rounds += 1
        dead = float((self.asleep >= self.settings.dead_after).float().mean())
        self.curves = {"loss": loss, "explained_variance": explained, "l0": l0, "dead_share": dead}
        self.curves["lr"] = adam.param_groups[0]["lr"]
        for logger in self.loggers:
            logger.log_metrics(self.curves, step=self.step)

    def _begin(self, activations: Tensor) -> None:
        """Measure mean and scale on the first round."""
        self.mean.copy_(activations.mean(0))
        apart = (activations - self.mean).norm(dim=1).mean()
        self.scale.copy_((apart / self.site.width**0.5).clamp_min(1e-12))

    def _step(self, inputs: Tensor, adam: torch.optim.Optimizer) -> Tensor:
        """Take one step of Adam; return loss, explained variance and L0."""
        factor = self._factor()
        for group in adam.param_groups:
            group["lr"] = self.settings.lr * factor
        coded = self.sae(inputs)
        spread = (inputs - inputs.mean(0)).square().sum().clamp_min(1e-12)
        loss = (inputs - coded.output).square().sum() / spread
        dead = (self.asleep >= self.settings.dead_after).nonzero()[:, 0]
        whole = loss
        if self.settings.revive and len(dead):
            whole = loss + self.settings.revive * self.sae.revival(coded, inputs, dead)
        adam.zero_grad(set_to_none=True)
        self.manual_backward(whole)
        self.sae.keep_lengths()
        adam.step()
        self.sae.normalize()
        self.step += 1
        with torch.no_grad():
            on = coded.codes > 0
            self.asleep += len(inputs)
            self.asleep[coded.latents[on]] = 0
            l0 = on.sum(1).float().mean()
        return torch.stack([whole.detach(), 1 - loss.detach(), l0])

    def _factor(self) -> float:
        """Return the share of the rate: 1, then in a line down to 0 over the last `decay` of the steps."""
        left = 1 - self.step / max(1, self.steps)
        return max(0.0, min(1.0, left / self.settings.decay if self.settings.decay else 1.0))

    # -- what it is worth, and what is kept -------------------------------------------------------

    @torch.no_grad()
    def measure(self, activations: Tensor) -> dict[str, float]:
        """Return explained variance, L0 and the share of latents that are never on, of activations `[N, D]`."""
        inputs = (activations - self.mean) / self.scale
        outputs, on, fired = [], 0, torch.zeros(self.latents, dtype=torch.bool, device=inputs.device)
        for part in inputs.split(4096):
            coded = self.sae(part)
            outputs.append(coded.output)
            on += int((coded.codes > 0).sum())
            fired[coded.latents[coded.codes > 0]] = True
        return {
            "explained_variance": float(explained_variance(inputs, torch.cat(outputs))),
            "l0": on / max(1, len(inputs)),
            "dead_share": 1 - float(fired.float().mean()),
        }

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Return the dictionary of the activations as they are, in SAELens' names: mean and scale are folded in.

        Codes are then in the site's own units, and the decoder's rows have length 1.
        """
        state = {name: value.detach().float().cpu().clone() for name, value in self.sae.named_parameters()}
        scale, mean = self.scale.cpu(), self.mean.cpu()
        state["b_enc"] *= scale
        state["b_dec"] = mean + scale * state["b_dec"]
        return {name: value.contiguous() for name, value in state.items()}

    def state(self) -> dict[str, Any]:
        """Return what a training goes on from, after a whole round."""
        adam = cast(torch.optim.Optimizer, self.optimizers(use_pl_optimizer=False))
        own = {name: getattr(self, name).cpu() for name in ("mean", "scale", "asleep")}
        own |= {"sae": {name: value.cpu() for name, value in self.sae.state_dict().items()}}
        return own | {"rounds": self.rounds, "step": self.step, "adam": adam.state_dict(), "curves": self.curves}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.sae.load_state_dict(state["sae"])
        for name in ("mean", "scale", "asleep"):
            getattr(self, name).copy_(state[name])
        self.rounds, self.step, self.curves = state["rounds"], state["step"], state["curves"]
        self._adam_state = state["adam"]
