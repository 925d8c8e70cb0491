"""Image parameterisations: range, starting point, pictures, and what each promises."""

from __future__ import annotations

import math

import pytest
import torch
from PIL import Image

from vitvis.errors import VitvisError
from vitvis.fit.images import PARAMETERIZATIONS, make_image
from vitvis.fit.images.color import decorrelation_matrix, recolor
from vitvis.fit.images.spectrum import frequencies, half_weights, inverse_frequency, mean_magnitude
from vitvis.fit.settings import ImageSettings

KINDS = ("pixel", "fourier", "phase")
SIZES = ((16, 16), (15, 22), (33, 8))


def smooth_picture(size: tuple[int, int]) -> torch.Tensor:
    rows, columns = torch.linspace(0, 3, size[0])[:, None], torch.linspace(0, 2, size[1])[None]
    return torch.stack([0.5 + 0.3 * torch.sin(rows + k) * torch.cos(columns * k) for k in range(3)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_images_are_float32_in_range_and_move_with_the_parameter(kind, size) -> None:
    image = make_image(size, ImageSettings(kind=kind))
    parameter = image.start([0, 0, 5]).requires_grad_()
    pixels = image(parameter)
    assert pixels.shape == (3, 3, *size) and pixels.dtype == torch.float32
    assert pixels.min() >= 0 and pixels.max() <= 1
    assert torch.equal(pixels[0], pixels[1]) and not torch.equal(pixels[0], pixels[2])
    assert not list(image.parameters())
    pixels[1].square().sum().backward()
    assert parameter.grad[1].abs().sum() > 0 and parameter.grad[0].abs().sum() == 0


def test_pixels_start_uniform_and_are_clamped() -> None:
    image = make_image((64, 64), ImageSettings(kind="pixel"))
    start = image.start([3])
    assert start.mean() == pytest.approx(0.5, abs=0.01) and start.std() == pytest.approx(1 / math.sqrt(12), abs=0.01)
    moved = start + 0.7
    image.project(moved)
    assert moved.max() == 1 and moved.min() >= 0.7


@pytest.mark.parametrize("size", SIZES)
def test_fourier_takes_a_picture_up_and_gives_it_back(size) -> None:
    image = make_image(size, ImageSettings(kind="fourier"))
    picture = smooth_picture(size)[None]
    torch.testing.assert_close(image(image.invert(picture)), picture, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_the_start(kind, tmp_path) -> None:
    picture = smooth_picture((24, 24))
    file = tmp_path / "start.png"
    Image.fromarray((picture.permute(1, 2, 0) * 255).round().byte().numpy()).save(file)
    image = make_image((24, 24), ImageSettings(kind=kind, start=str(file)))
    pixels = image(image.start([0, 1]))
    assert torch.equal(pixels[0], pixels[1])
    if kind == "phase":  # magnitudes are replaced, but what is where comes from the phases
        correlation = torch.corrcoef(torch.stack([pixels[0].flatten(), picture.flatten()]))[0, 1]
        assert correlation > 0.5
    else:
        torch.testing.assert_close(pixels[0], picture, atol=0.01, rtol=0)


def test_phase_keeps_every_magnitude_whatever_the_phases() -> None:
    settings = ImageSettings(kind="phase", decay=1.0, decorrelate=False, contrast=0.8)
    image = make_image((32, 32), settings)
    magnitudes = []
    for seed in (0, 1):
        logits = torch.logit(image(image.start([seed])).double())
        assert logits.std(correction=0) == pytest.approx(0.8, rel=0.05)
        magnitudes.append(torch.fft.rfft2(logits, norm="ortho").abs()[..., 1:-1])
    torch.testing.assert_close(magnitudes[0], magnitudes[1], atol=1e-3, rtol=1e-3)


def test_phase_takes_magnitudes_from_a_folder(tmp_path) -> None:
    for name in "ab":
        Image.fromarray((smooth_picture((20, 20)).permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / f"{name}.png")
    folder = make_image((16, 16), ImageSettings(kind="phase", magnitude=str(tmp_path))).magnitude
    default = make_image((16, 16), ImageSettings(kind="phase")).magnitude
    assert folder.shape == default.shape
    assert folder[:, 8, 4].mean() < default[:, 8, 4].mean()  # a smooth picture has less that is fine
    with pytest.raises(VitvisError, match="no such folder"):
        make_image((16, 16), ImageSettings(kind="phase", magnitude=str(tmp_path / "none")))


def test_mean_magnitude_against_the_full_transform() -> None:
    images = torch.rand(4, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    slow = sum(torch.fft.fft2(image).abs() for image in images) / 4 / math.sqrt(120)
    torch.testing.assert_close(mean_magnitude(images), slow[..., :7])


@pytest.mark.parametrize("size", SIZES)
def test_half_weights_make_the_half_spectrum_whole(size) -> None:
    image = torch.rand(size, generator=torch.Generator().manual_seed(0))
    energy = torch.fft.rfft2(image, norm="ortho").abs().square() * half_weights(size)
    assert energy.sum() == pytest.approx(float(image.square().sum()), rel=1e-5)


def test_decay_moves_power_and_keeps_it() -> None:
    weights = half_weights((32, 32))
    plain, smooth = inverse_frequency((32, 32), 1.0), inverse_frequency((32, 32), 1.5)
    assert (plain.square() * weights).sum() == pytest.approx(float((smooth.square() * weights).sum()), rel=1e-4)
    assert smooth[0, 1] > plain[0, 1] and smooth[16, 16] < plain[16, 16]
    assert plain[0, 8] / plain[0, 16] == pytest.approx(2)


def test_recolor_is_a_matrix_on_every_pixel() -> None:
    images, matrix = torch.rand(2, 3, 4, 5), decorrelation_matrix()
    slow = torch.einsum("uchw,dc->udhw", images, matrix)
    torch.testing.assert_close(recolor(images, matrix), slow)
    assert matrix.norm(dim=0).max() == pytest.approx(1)


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(VitvisError, match="did you mean 'fourier'"):
        make_image((8, 8), ImageSettings(kind="furier"))
    assert set(KINDS) <= set(PARAMETERIZATIONS)


def test_a_start_that_is_missing_is_one_line() -> None:
    with pytest.raises(VitvisError, match="no such file"):
        make_image((8, 8), ImageSettings(start="nowhere.png")).start([0])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (2, 1), (14, 5), (5, 0)])
def test_one_fourier_coefficient_is_one_wave(row, column) -> None:
    """A quarter of `a / f`, as lucid has it: `2 a / (4 f sqrt(H W)) cos(2 pi (u y + v x))`, then the sigmoid."""
    height, width, amplitude = 16, 24, 0.7
    image = make_image((height, width), ImageSettings(kind="fourier", decay=1.0, decorrelate=False))
    parameter = torch.zeros(1, 3, height, width // 2 + 1, 2)
    parameter[0, :, row, column, 0] = amplitude
    if column == 0 and row:  # the coefficient of -f lies in the half that is kept, and has to be there for a real wave
        parameter[0, :, height - row, column, 0] = amplitude
    u, v = (row if row <= height // 2 else row - height) / height, column / width
    frequency = max(math.hypot(u, v), 1 / max(height, width))
    size = (1 if row == column == 0 else 2) * amplitude / frequency / 4 / math.sqrt(height * width)
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    wave = torch.sigmoid(size * torch.cos(2 * math.pi * (u * y + v * x)))
    torch.testing.assert_close(image(parameter)[0], wave.expand(3, -1, -1), atol=1e-5, rtol=0)


def test_the_start_of_fourier_has_the_contrast_that_its_deviation_promises() -> None:
    """Parseval: every mode has the variance `(std / 4 f) ** 2`; the sum is taken over the full spectrum, in a loop."""
    side, std = 64, 0.3
    image = make_image((side, side), ImageSettings(kind="fourier", std=std, decorrelate=False))
    waves = [(u, v) for u in range(-side // 2, side // 2) for v in range(-side // 2, side // 2) if u or v]
    # two normal numbers a coefficient, each of deviation std: E|c|^2 = 2 std^2
    expected = math.sqrt(sum(2 * (std / 4 / max(math.hypot(u, v) / side, 1 / side)) ** 2 for u, v in waves) / side**2)
    found = torch.logit(image(image.start(range(40)))).std(dim=(-2, -1)).square().mean().sqrt()
    assert found == pytest.approx(expected, rel=0.1)  # 120 draws of which a handful of waves hold most


def test_bands_open_from_coarse_to_fine_and_leave_the_end_alone() -> None:
    image = make_image((32, 32), ImageSettings(bands=0.5, std=1.0))
    parameter = image.start([0])

    def high(progress: float) -> float:
        logits = torch.logit(image.render(parameter, progress).double())
        energy = torch.fft.rfft2(logits, norm="ortho").abs().square() * half_weights((32, 32))
        return float((energy * (frequencies((32, 32)) > cutoff)).sum() / energy.sum())

    for progress in (0.0, 0.1, 0.25, 0.4):  # at 0, 1/5, 1/2, 4/5 of the way, by equal factors
        cutoff = 1.5 * (4 / 32) * (0.5 * math.sqrt(2) * 32 / 4) ** (progress / 0.5)
        assert high(progress) < 1e-9
        assert progress == 0.4 or float((frequencies((32, 32)) > cutoff).sum()) > 0
    assert torch.equal(image.render(parameter, 0.5), image(parameter))
    coarse = make_image((32, 32), ImageSettings(bands=0.0))
    assert torch.equal(coarse.render(parameter, 0.0), coarse(parameter))


@pytest.mark.parametrize(("depth", "decay"), [(0.0, 1.0), (0.25, 1.2), (1.0, 1.8)])
def test_decay_grows_with_depth_in_a_line(depth, decay) -> None:
    image = make_image((16, 20), ImageSettings(decay=1.8, decay_first=1.0))
    image.suit(depth, image.settings)
    torch.testing.assert_close(image.scale, make_image((16, 20), ImageSettings(decay=decay)).scale)
    same = make_image((16, 20), ImageSettings(decay=1.8))
    same.suit(depth, same.settings)
    torch.testing.assert_close(same.scale, make_image((16, 20), ImageSettings(decay=1.8)).scale)
