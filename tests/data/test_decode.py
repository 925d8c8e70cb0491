"""From bytes to RGB: depths, turns, damage, bombs; against what Pillow and timm make of the same files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitvis.data.decode import decode
from vitvis.data.kinds import open_source
from vitvis.data.photo import UnusableImage


def _bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


RAMP = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_by_their_range(format: str) -> None:
    image = Image.fromarray(RAMP.astype(np.uint16) * 257)
    found = np.asarray(decode(_bytes(image, format)))
    assert (found == RAMP[..., None]).all()  # Pillow by itself makes all but the first white


def test_floats_are_taken_to_lie_in_0_to_1_or_refused() -> None:
    image = Image.fromarray((RAMP / 255).astype(np.float32))
    assert (np.asarray(decode(_bytes(image, "TIFF"))) == RAMP[..., None]).all()
    for wrong in (RAMP.astype(np.float32), np.full((4, 4), np.nan, np.float32), np.full((4, 4), -1, np.float32)):
        with pytest.raises(UnusableImage, match="floats that are not in"):
            decode(_bytes(Image.fromarray(wrong), "TIFF"))
    with pytest.raises(UnusableImage, match="32-bit integers"):
        decode(_bytes(Image.fromarray(RAMP.astype(np.int32)), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_other_modes_are_those_of_timm(mode: str) -> None:
    """Timm's datasets call `convert("RGB")` on the opened file."""
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    data = _bytes(Image.fromarray(pixels).convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    with Image.open(io.BytesIO(data)) as opened:
        assert (np.asarray(decode(data)) == np.asarray(opened.convert("RGB"))).all()


def test_photos_are_not_turned_by_exif() -> None:
    """As timm: boxes and masks are those of the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    data = _bytes(Image.fromarray(np.dstack([RAMP[:4]] * 3)), "JPEG", exif=exif)
    assert decode(data).size == (8, 4)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_cut_off_files_are_unusable_in_one_line(format: str) -> None:
    data = _bytes(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), format)
    for size in (0, 10, len(data) // 2):
        with pytest.raises(UnusableImage) as error:
            decode(data[:size])
        assert "\n" not in str(error.value) and "object at 0x" not in str(error.value)


def test_bombs_are_refused_for_photos_and_for_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    Image.new("L", (40, 40), 255).save(tmp_path / "masks" / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    photo = open_source(f"folder:{tmp_path}").read(0)
    assert photo.mask is None and "too large" in photo.fault
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(UnusableImage, match="too large"):
        open_source(f"folder:{tmp_path}").read(0)


def test_a_mask_that_claims_to_be_larger_than_its_file_is_a_fault(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    with open(tmp_path / "masks" / "a.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"shape": (1 << 20, 1 << 20), "fortran_order": False, "descr": "<f8"}
        )
    assert "mask can't be read" in open_source(f"folder:{tmp_path}").read(0).fault


def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnusableImage, match="is no file"):
        decode(tmp_path / "a.jpg")
