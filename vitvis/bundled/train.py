"""Train one of the bundled models: `python -m vitvis.bundled.train --config configs/bundled/vitvis_vit.yaml`."""

from __future__ import annotations

import sys
from pathlib import Path

from vitvis.bundled.settings import TrainSettings
from vitvis.config import Command, ready, to_yaml
from vitvis.errors import VitvisError
from vitvis.runs.files import utf8

__all__ = ["COMMAND", "main", "train"]


def _check(settings: TrainSettings) -> None:
    """Check what can be checked before anything is loaded or made.

    Raises:
        VitvisError: something is wrong.
    """
    for name in ("init", "resume"):
        file = getattr(settings, name)
        if file and not Path(file).is_file():
            raise VitvisError(f"{name}={file}: no such file")
    courses = {"sizes": settings.sizes, "patch_drop": settings.patch_drop, "data.noise": settings.data.noise}
    for name, course in courses.items():
        if any(len(pair) != 2 for pair in course):
            raise VitvisError(f"{name}={course}: give [share of the run, value] pairs")
        shares = [pair[0] for pair in course]
        if not shares or shares[0] != 0 or shares != sorted(set(shares)) or shares[-1] > 1:
            raise VitvisError(f"{name}={course}: shares of the run start at 0 and rise, up to 1")
    lowest, highest = min(pair[1] for pair in settings.patch_drop), max(pair[1] for pair in settings.patch_drop)
    if lowest < 0 or highest >= 1:
        raise VitvisError(f"patch_drop={settings.patch_drop}: a share of the patches is at least 0 and below 1")
    if min(pair[1] for pair in settings.data.noise) < 0:
        raise VitvisError(f"data.noise={settings.data.noise}: a standard deviation is at least 0")
    if min(pair[1] for pair in settings.sizes) < 8:
        raise VitvisError(f"sizes={settings.sizes}: a side is at least 8 px")


def train(settings: TrainSettings) -> Path:
    """Train, or go on training, the model that `settings` describes.

    Returns:
        The last checkpoint, `OUT/last.ckpt`.

    Raises:
        VitvisError: no data, no such checkpoint, or a course (`sizes`, `patch_drop`, `data.noise`) that can't be.
    """
    _check(ready(settings))
    import pytorch_lightning as L
    import torch
    from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
    from pytorch_lightning.loggers import CSVLogger

    from vitvis.bundled.data import PhotoDataModule
    from vitvis.bundled.module import PhotoClassifier

    if settings.threads:
        torch.set_num_threads(settings.threads)
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_bytes(utf8(to_yaml(settings)))
    L.seed_everything(settings.seed, verbose=False)
    data = PhotoDataModule(
        Path(settings.data.path or ""),
        Path(settings.data.cache or out),
        settings.batch,
        settings.seed,
        settings.data.held_out,
    )
    data.prepare_data()
    data.setup("fit")
    total = round(settings.epochs * data.steps_per_epoch)
    model = PhotoClassifier(settings, total)
    last = out / "last.ckpt"
    start = last if last.exists() else Path(settings.resume) if settings.resume else None
    if settings.init and not start:
        from vitvis.bundled.export import read_weights

        model.model.load_state_dict(read_weights(Path(settings.init)))

    class SaveAtEnd(Callback):
        """Save the last step too; before averaged weights take the place of the current ones."""

        def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            trainer.save_checkpoint(last)

    callbacks: list[Callback] = [
        SaveAtEnd(),
        ModelCheckpoint(
            out,
            filename="last",
            every_n_train_steps=settings.checkpoint_every,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        ),
    ]
    if settings.ema:
        callbacks.append(EMAWeightAveraging(decay=settings.ema))
    trainer = L.Trainer(
        max_steps=min(total, settings.stop_at or total),
        max_epochs=-1,
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,  # type: ignore[arg-type]
        gradient_clip_val=settings.optim.clip or None,
        callbacks=callbacks,
        logger=CSVLogger(out, name="metrics"),  # a folder for each start: nothing is written over
        val_check_interval=min(settings.validate_every, total),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(50, settings.checkpoint_every),
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data, ckpt_path=str(start) if start else None, weights_only=True)
    return last


COMMAND = Command(
    name="vitvis.bundled.train",
    settings=TrainSettings,
    action=lambda settings, options: print(train(settings)),
    summary="train the two models that ship with vitvis again",
    description="Train one of the two models that vitvis ships.",
    examples=("python -m vitvis.bundled.train --config configs/bundled/vitvis_vit.yaml data.path=DATA/tiny-imagenet",),
)
main = COMMAND.main

if __name__ == "__main__":
    sys.exit(COMMAND.main())
