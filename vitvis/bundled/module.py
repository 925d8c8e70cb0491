"""The classifier that is trained, as an ordinary LightningModule."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as L
import timm
import torch
from timm.layers import PatchDropout
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_accuracy
from torchvision.transforms import v2

from vitvis.bundled import architectures
from vitvis.bundled.settings import TrainSettings

__all__ = ["PhotoClassifier", "add_noise", "random_crops", "schedule", "value_at"]


def schedule(step: int, total: int, warmup: int, decay: float) -> float:
    """Return the factor on the learning rate: linear warm-up, constant, linear decay to 0 over the last `decay`.

    Unlike a cosine, it can be cut short: the decay may start at any checkpoint of the constant part.
    """
    falling = decay * total
    return min(1.0, (step + 1) / max(1, warmup), (total - step) / falling if falling else 1.0)


def value_at(step: int, total: int, course: list[list[float]]) -> float:
    """Return what holds at `step`, from `[share of the run, value]` pairs in rising order of the share."""
    return [value for share, value in course if step >= share * total][-1]


def random_crops(
    photos: Tensor, size: int, scale: tuple[float, float], flip: float, generator: torch.Generator
) -> Tensor:
    """Crop each photo at random, mirror some, and resample to one size, all photos at once.

    Args:
        photos: `[B, 3, H, W]` in [0, 1].
        size: Side of the result in pixels.
        scale: Share of the area that a crop keeps, from and to; sides vary by up to 4/3 as in Inception's crops.
        flip: Chance of a horizontal flip.
        generator: Source of every draw (CPU).

    Returns:
        `[B, 3, size, size]` in [0, 1].
    """
    count, _, rows, columns = photos.shape
    draws = torch.rand(5, count, generator=generator)
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    ratio = (4 / 3) ** (draws[1] * 2 - 1)
    height, width = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.where(draws[4] < flip, -width, width)
    theta[:, 1, 1] = height
    theta[:, 0, 2] = (1 - width) * (draws[2] * 2 - 1)
    theta[:, 1, 2] = (1 - height) * (draws[3] * 2 - 1)
    if max(rows, columns) >= 2 * size:  # half the photo first, so that sampling does not alias
        photos = F.avg_pool2d(photos, 2)
    grid = F.affine_grid(theta.to(photos.device), [count, 3, size, size], align_corners=False)
    return F.grid_sample(photos, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def add_noise(photos: Tensor, highest: float) -> Tensor:
    """Add Gaussian noise whose standard deviation is drawn for each photo, evenly from 0 to `highest`.

    Networks trained so have gradients with respect to the photo that people can read (Kaur et al. 2019, *Are
    Perceptually-Aligned Gradients a General Property of Robust Classifiers?*, arXiv 1910.08640). The sum is not
    clipped to [0, 1]: clipping would shift the mean of dark and bright areas.

    Args:
        photos: `[B, 3, H, W]` in [0, 1].
        highest: Largest standard deviation, in units of the photos.
    """
    strength = highest * torch.rand(len(photos), 1, 1, 1, device=photos.device)
    return torch.addcmul(photos, strength, torch.randn_like(photos))


class PhotoClassifier(L.LightningModule):
    """A bundled architecture, its augmentation on the device, and cross-entropy with smoothed labels."""

    def __init__(self, settings: TrainSettings, total_steps: int, num_classes: int = 200) -> None:
        super().__init__()
        self.settings, self.total_steps, self.num_classes = settings, total_steps, num_classes
        extra: dict[str, Any] = dict(drop_path_rate=settings.drop_path, num_classes=num_classes)
        if settings.model == "vitvis_vit":
            extra["dynamic_img_size"] = True  # position embeddings are resampled while small sizes are trained
            extra["patch_drop_rate"] = 0.5  # stands for any: set before each step
        model: Any = timm.create_model(settings.model, **extra)
        if settings.model == "vitvis_vit" and settings.mimetic:
            architectures.init_mimetic(model)
        else:
            model.to(memory_format=torch.channels_last)
        self.model: nn.Module = model
        cfg = model.pretrained_cfg
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(cfg["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(cfg["std"]).view(1, 3, 1, 1), persistent=False)
        mixers: list[nn.Module] = []
        if settings.data.mixup:
            mixers.append(v2.MixUp(alpha=settings.data.mixup, num_classes=num_classes))
        if settings.data.cutmix:
            mixers.append(v2.CutMix(alpha=settings.data.cutmix, num_classes=num_classes))
        self.mix = v2.RandomChoice(mixers) if mixers else None

    def forward(self, photos: Tensor) -> Tensor:
        """Classify photos `[B, 3, H, W]` in [0, 1]; returns logits `[B, classes]`."""
        return self.model((photos - self.mean) / self.std)

    def on_fit_start(self) -> None:
        """Choose the attention that suits the device."""
        if self.device.type == "cpu":
            self.use_plain_attention()

    def use_plain_attention(self) -> None:
        """Do without the fused attention, which makes a step of the ViT half as long again on a CPU."""
        for part in self.model.modules():
            if hasattr(part, "fused_attn"):
                setattr(part, "fused_attn", False)  # noqa: B010

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Key every draw (crops, mixing, stochastic depth) by seed and step, so that runs resume exactly."""
        torch.manual_seed(self.settings.seed * 1_000_003 + self.trainer.global_step * 31 + self.global_rank)

    def loss(self, photos: Tensor, labels: Tensor, step: int) -> Tensor:
        """Return the loss of one batch of uint8 photos `[B, 3, H, W]` as `step` augments it: a scalar."""
        settings, total = self.settings, self.total_steps
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        size, noise = int(value_at(step, total, settings.sizes)), value_at(step, total, settings.data.noise)
        drop = getattr(self.model, "patch_drop", None)
        if isinstance(drop, PatchDropout):
            drop.prob = value_at(step, total, settings.patch_drop)
        low, high = settings.data.crop_scale
        photos = random_crops(photos.float() / 255, size, (low, high), settings.data.flip, generator)
        if self.mix is not None:
            photos, labels = self.mix(photos, labels)
        if noise:
            photos = add_noise(photos, noise)
        return F.cross_entropy(self(photos).float(), labels, label_smoothing=settings.label_smoothing)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch, and log it with what the schedule held at this step."""
        step, total = self.trainer.global_step, self.total_steps
        loss = self.loss(*batch, step)
        courses = {
            "size": self.settings.sizes,
            "noise": self.settings.data.noise,
            "patch_drop": self.settings.patch_drop,
        }
        now = {f"train/{name}": value_at(step, total, course) for name, course in courses.items()}
        self.log_dict({"train/loss": loss, **now}, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log top-1 and top-5 on held-out photos at their own size."""
        photos, labels = batch
        logits = self(photos.float() / 255).float()
        for top in (1, 5):
            accuracy = multiclass_accuracy(logits, labels, self.num_classes, average="micro", top_k=top)
            self.log(f"held_out/top{top}", accuracy, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Build the optimiser by name from timm, and the schedule of `schedule`."""
        chosen = self.settings.optim
        optimizer = create_optimizer_v2(self.model, chosen.name, lr=chosen.lr, weight_decay=chosen.weight_decay)
        factor = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule(step, self.total_steps, chosen.warmup, chosen.decay)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}
