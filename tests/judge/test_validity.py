"""What a judge has to get right whatever the model: photos stand for pictures of units, damaged step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vitvis.backbones.eye import Eye, load_eye
from vitvis.backbones.space import Space, make_space
from vitvis.judge.album import Album, as_tensor, open_album
from vitvis.judge.controls import blank_directions, noise_directions
from vitvis.judge.passes import PhotoJob
from vitvis.judge.scores import Photos, choice_columns
from vitvis.search import read_search


class World:
    """A search of twenty units of the ViT; the picture of each is its strongest photo, which is then no question."""

    def __init__(self, made: Path) -> None:
        self.search = read_search(made / "search")
        album = open_album(self.search, None, split=None, photos="auto", folder=made)
        assert album is not None
        self.album: Album = album
        self.eye: Eye = load_eye("vitvis_resnet")
        job = PhotoJob(made / "none.npz", self.eye, album, range(60))
        found = job.see(*job.load())
        self.space: Space = make_space(found["features"], self.eye.widths)
        blank = blank_directions(self.eye, self.space, (64, 64))
        self.photos = Photos(self.space.place(found["features"]), {row: row for row in range(60)}, self.search, blank)
        best = [record["strongest_index"][0] for record in self.search.records]
        self.records = [
            {**record, "photos_used": [index]} for record, index in zip(self.search.records, best, strict=True)
        ]
        self.images = torch.stack([as_tensor(album.load(index)) for index in best])
        self.noise = noise_directions(self.eye, self.space, (64, 64), 0)

    def see(self, images: torch.Tensor) -> np.ndarray:
        return self.space.place(self.eye.look(images).features.numpy())

    def rows(self, images: torch.Tensor) -> list[dict]:
        return choice_columns(self.records, self.see(images), self.noise, self.photos)


@pytest.fixture(scope="module")
def world(made: Path) -> World:
    torch.set_num_threads(1)
    return World(made)


def column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def error(values: np.ndarray) -> float:
    return values.std(ddof=1) / np.sqrt(len(values))


def test_photos_beat_a_picture_beats_another_units_and_noise_is_chance(world: World) -> None:
    rows = world.rows(world.images)
    own, photos = column(rows, "choice").mean(), column(rows, "choice_photos").mean()
    other, noise = column(rows, "choice_other"), column(rows, "choice_noise")
    assert photos > own > other.mean() + 2 * error(other)
    assert own > 0.6
    assert abs(noise.mean() - 0.5) < 0.05  # eight images of noise for all units: units say nothing about their error


@pytest.mark.parametrize("kind", ["noise", "blur"])
def test_choice_falls_step_by_step_with_damage(world: World, kind: str) -> None:
    from torchvision.transforms.functional import gaussian_blur

    shares = []
    for level in (0.0, 0.2, 1.0) if kind == "noise" else (0.0, 3.0, 20.0):
        images = world.images
        if level and kind == "noise":
            images = (images + level * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))).clamp(
                0, 1
            )
        elif level:
            images = gaussian_blur(images, 2 * min(31, int(3 * level)) + 1, level)
        shares.append(column(world.rows(images), "choice").mean())
    assert shares[0] > shares[1] > shares[2], shares


def test_shuffled_units_score_chance(world: World) -> None:
    """Each picture under the name of another unit of its site, all nineteen others of a site in turn."""
    shares = []
    for step in range(1, 10):
        order = [10 * (place // 10) + (place + step) % 10 for place in range(20)]
        shares.append(column(world.rows(world.images[order]), "choice"))
    by_unit = np.mean(shares, 0)
    assert abs(by_unit.mean() - 0.5) < max(0.06, 3 * error(by_unit))


def test_an_adversarial_picture_wins_neither_transfer_nor_choice_nor_sturdiness(
    world: World, made: Path, tmp_path: Path
) -> None:
    """Bare gradient ascent on pixels: its units fire more than on any photo, and the judge is not impressed."""
    import vitvis.fit
    import vitvis.judge

    bare = {
        "image.kind": "pixel",
        "augment": {"affine": None, "noise": None},
        "classes": None,
        "steps": 30,
        "copies": 1,
    }
    vitvis.fit.run({**bare, "trainer.progress": "none"}, units="head:0-5", out=str(tmp_path / "bare"))
    (done,) = vitvis.judge.run(run=str(tmp_path / "bare"), search=str(made / "search"), trainer={"progress": "none"})
    found = {name: value[0] for name, value in done.summary.items()}
    assert found["beats_photo"] == 1.0
    assert found["top5"] <= 1 / 6 and found["class_probability"] < 0.1
    assert found["kept"] < 0.6
    photos = column(world.rows(world.images), "choice").mean()
    assert found["choice"] < min(photos, found["choice_photos"])
