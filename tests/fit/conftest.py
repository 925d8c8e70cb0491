"""A tiny backbone with random weights, and a way to fit with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from vitvis.backbones import load_backbone, parse_units
from vitvis.backbones.backbone import Backbone
from vitvis.config.core import merge
from vitvis.fit import ActivationMaximization, UnitDataModule, plan_chunks
from vitvis.fit.settings import FitSettings


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """A ViT of two narrow blocks at 32 px."""
    torch.manual_seed(0)
    return load_backbone(
        "vit_tiny_patch16_224", weights="none", image_size=32, depth=2, embed_dim=48, num_heads=3, patch_size=8
    )


@pytest.fixture()
def fit(backbone: Backbone):
    """Fit units with a recipe; returns the module after the last chunk, and the images of every target."""

    def run(units: str, recipe: dict[str, Any], seeds=(0,), size: int = 16, **trainer: Any):
        settings = merge(FitSettings, {"steps": 4, "copies": 2}, recipe)
        chunks = plan_chunks(parse_units(units, backbone.sites), list(seeds), backbone.sites, size, settings.variants)
        module = ActivationMaximization(backbone, settings)
        kept: dict[tuple[str, int], torch.Tensor] = {}
        rows: dict[tuple[str, int], dict[str, Any]] = {}

        class Collect(Callback):
            def on_train_batch_end(
                self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int
            ) -> None:
                if not batch.last:
                    return
                kept.update(zip(pl_module.chunk.targets, pl_module.images(), strict=True))
                rows.update(zip(pl_module.chunk.targets, pl_module.results(), strict=True))

        options = dict(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        callbacks = [Collect(), *trainer.pop("callbacks", [])]
        ckpt_path, resume = trainer.pop("ckpt_path", None), trainer.pop("resume", None)
        Trainer(**(options | trainer), callbacks=callbacks).fit(
            module,
            UnitDataModule(chunks, settings.steps, resume=resume, over=module.is_over),
            ckpt_path=ckpt_path,
            weights_only=True if ckpt_path else None,
        )
        return module, kept, rows

    return run
