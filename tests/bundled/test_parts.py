"""The mathematics of training: crops, schedule, sizes, initialisation, order of photos."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vitvis.bundled.architectures import init_mimetic
from vitvis.bundled.data import StepBatches, decode_parquet, read_photos
from vitvis.bundled.evaluate import main as evaluate
from vitvis.bundled.models import load_bundled
from vitvis.bundled.module import PhotoClassifier, add_noise, random_crops, schedule, value_at
from vitvis.bundled.settings import DataSettings, TrainSettings
from vitvis.errors import run_main


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_whole_crop_at_full_size_without_flips_is_the_photo_up_to_its_ratio() -> None:
    photos = torch.rand(64, 3, 16, 16)
    out = random_crops(photos, 16, (1.0, 1.0), 0.0, generator())
    # A crop of the whole area whose ratio is not 1 is cut to what the photo holds: one side stays whole.
    assert out.shape == photos.shape
    assert ((out - photos).abs().amax((1, 2, 3)) < 1).all()
    constant = random_crops(torch.full((2, 3, 16, 16), 0.3), 8, (0.2, 1.0), 0.5, generator())
    torch.testing.assert_close(constant, torch.full((2, 3, 8, 8), 0.3))


def test_flips_mirror_and_their_share_is_the_chance() -> None:
    ramp = torch.linspace(0, 1, 32).expand(512, 3, 32, 32)
    out = random_crops(ramp, 32, (0.5, 1.0), 0.25, generator())
    falling = (out[:, 0, 16, 0] > out[:, 0, 16, -1]).float().mean()
    assert 0.19 < falling < 0.31


def test_crops_keep_the_share_of_the_area_that_was_asked_for() -> None:
    ramp = torch.linspace(0, 1, 64)
    photos = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)]).expand(
        256, 3, 64, 64
    )
    out = random_crops(photos, 64, (0.25, 0.25), 0.0, generator())
    width = (out[:, 0, 32, -1] - out[:, 0, 32, 0]) * 64 / 63
    height = (out[:, 1, -1, 32] - out[:, 1, 0, 32]) * 64 / 63
    torch.testing.assert_close(width * height, torch.full((256,), 0.25), rtol=0.05, atol=0)
    assert 1.2 < float((width / height).max()) < 1.4


def test_crops_are_a_function_of_the_generator_and_stay_in_range() -> None:
    photos = torch.rand(4, 3, 64, 64)
    one, two, other = (random_crops(photos, 32, (0.35, 1.0), 0.5, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == (4, 3, 32, 32) and 0 <= one.min() and one.max() <= 1


def test_the_rate_rises_stays_and_falls_to_nearly_nothing() -> None:
    factors = [schedule(step, 100, 10, 0.3) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:70] == [1.0] * 61
    assert factors[70:] == pytest.approx([1 - k / 30 for k in range(30)])


def test_a_schedule_cut_short_shares_its_constant_part() -> None:
    assert [schedule(s, 100, 10, 0.3) for s in range(35)] == [schedule(s, 50, 10, 0.3) for s in range(35)]


def test_sizes_change_at_their_share() -> None:
    assert [value_at(s, 10, [[0, 32], [0.5, 48], [0.9, 64]]) for s in range(10)] == [32] * 5 + [48] * 4 + [64]


def test_noise_is_gaussian_and_its_strength_drawn_for_each_photo() -> None:
    torch.manual_seed(0)
    photos = torch.rand(2000, 3, 12, 12)
    added = add_noise(photos, 0.1) - photos
    spread = added.flatten(1).std(1)
    assert spread.max() < 0.115 and spread.min() < 0.003  # 432 draws a photo: the estimate is off by up to 15 %
    # Evenly drawn deviations: mean h / 2, mean variance h^2 / 3, and a kurtosis of 3 * E[s^4] / E[s^2]^2 = 27 / 5.
    assert spread.mean() == pytest.approx(0.05, abs=0.002)
    assert added.mean() == pytest.approx(0, abs=3e-4)
    assert added.var() == pytest.approx(0.01 / 3, rel=0.05)
    assert (added**4).mean() / added.var() ** 2 == pytest.approx(27 / 5, rel=0.1)
    assert torch.equal(add_noise(photos, 0.0), photos)


def _classifier(model: str, **more: object) -> PhotoClassifier:
    return PhotoClassifier(TrainSettings(model=model, **more), total_steps=10).train()  # type: ignore[arg-type]


def test_patches_are_left_out_with_their_positions_while_the_course_says_so() -> None:
    classifier = _classifier("vitvis_vit", sizes=[[0, 48]], patch_drop=[[0, 0.55], [0.8, 0.0]])
    full: list[torch.Tensor] = []
    kept: list[torch.Tensor] = []
    classifier.model.patch_drop.register_forward_pre_hook(lambda _, args: full.append(args[0]))  # type: ignore[union-attr]
    classifier.model.blocks[0].register_forward_pre_hook(lambda _, args: kept.append(args[0]))  # type: ignore
    photos, labels = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8), torch.arange(3)
    for step in (7, 8):
        classifier.loss(photos, labels, step)
    classifier.eval()(photos / 255)
    assert [tokens.shape[1] for tokens in kept] == [1 + int(36 * 0.45), 1 + 36, 1 + 64]
    for all_of_one, left in zip(full[0], kept[0], strict=True):
        assert torch.equal(all_of_one[0], left[0])  # CLS stays
        rows = [(all_of_one == token).all(1).nonzero().item() for token in left]  # each is one of the tokens, unchanged
        assert len(set(rows)) == len(left)


def test_both_models_see_the_same_photos() -> None:
    seen: list[torch.Tensor] = []
    photos, labels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8), torch.arange(4)
    for name in ("vitvis_vit", "vitvis_resnet"):
        course = dict(
            sizes=[[0, 32]], patch_drop=[[0, 0.5]], data=DataSettings(noise=[[0, 0.1]], mixup=0.4, cutmix=1.0)
        )
        classifier = _classifier(name, **course)
        classifier.model.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        torch.manual_seed(5)
        classifier.loss(photos, labels, 3)
    assert seen[0].shape == (4, 3, 32, 32) and torch.equal(*seen)


def test_mimetic_attention_is_near_the_identity_and_its_negative() -> None:
    model = load_bundled("vitvis_vit", pretrained=False)
    init_mimetic(model, generator())
    attention = model.blocks[3].attn
    query, key, value = attention.qkv.weight.detach().view(3, 192, 192)
    rank = torch.trace(query[:64].T @ key[:64]) / 192
    product = attention.proj.weight.detach() @ value
    assert 0.2 < rank < 1.5  # one head holds a third of the identity's directions, the largest ones
    assert torch.diag(product).mean() == pytest.approx(-0.4, abs=0.05)
    off = product - torch.diag(torch.diag(product))
    assert off.abs().mean() < 0.05


class _Rows:
    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        return chosen.astype(np.uint8)


def _take(batches: StepBatches, steps: int) -> list[list[int]]:
    return [photos.tolist() for (photos, _), _ in zip(batches, range(steps), strict=False)]


def test_an_epoch_shows_each_photo_once_and_the_next_in_another_order() -> None:
    rows, labels = _Rows(), np.arange(20)
    shown = _take(StepBatches(rows, labels, 5, seed=0), 8)  # type: ignore[arg-type]
    assert sorted(sum(shown[:4], [])) == sorted(sum(shown[4:], [])) == list(range(20))
    assert shown[:4] != shown[4:]


def test_batches_from_a_later_step_are_those_of_the_whole_and_ranks_share_them() -> None:
    rows, labels = _Rows(), np.arange(20)
    whole = _take(StepBatches(rows, labels, 6, seed=3), 9)  # type: ignore[arg-type]
    assert _take(StepBatches(rows, labels, 6, seed=3, start=4), 5) == whole[4:]  # type: ignore[arg-type]
    ranks = [_take(StepBatches(rows, labels, 6, 3, 0, rank, 2), 9) for rank in range(2)]  # type: ignore[arg-type]
    assert [sorted(a + b) for a, b in zip(*ranks, strict=True)] == [sorted(step) for step in whole]


def test_photos_are_decoded_once(photos_dir, tmp_path) -> None:
    photos, labels = decode_parquet(photos_dir, "val", tmp_path)
    direct, truth = read_photos(f"parquet:{photos_dir}/val.parquet")
    assert np.array_equal(photos, direct) and np.array_equal(labels, truth)
    assert photos.shape == (12, 3, 64, 64) and photos.dtype == np.uint8
    again, _ = decode_parquet(photos_dir / "nowhere", "val", tmp_path)
    assert np.array_equal(again, photos)


def test_the_measurement_counts_hits(photos_dir, capsys) -> None:
    assert run_main(evaluate, [f"data=parquet:{photos_dir}/val.parquet", "models=[vitvis_resnet]", "batch=5"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("vitvis_resnet: top-1 ") and "of 12 photos" in line
    from vitvis.bundled import BUNDLED

    photos, labels = read_photos(f"parquet:{photos_dir}/val.parquet")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (BUNDLED["vitvis_resnet"].mean, BUNDLED["vitvis_resnet"].std))
    model, hits = load_bundled("vitvis_resnet"), 0
    for photo, label in zip(photos, labels, strict=True):  # slow and obvious
        with torch.no_grad():
            hits += int(model(((torch.from_numpy(photo) / 255 - mean) / std)[None]).argmax()) == label
    assert f"top-1 {hits / 12:.2%}" in line


def test_the_measurement_names_a_missing_file(capsys) -> None:
    assert run_main(evaluate, ["data=parquet:nowhere.parquet"]) == 2
    assert "nowhere.parquet" in capsys.readouterr().err
