"""Batches: who reads which, workers that start afresh, a shared memory that is full."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.trees import block_backbone
from vitvis.data.kinds import open_source
from vitvis.data.loader import Batch, ModelView, Share, make_loader
from vitvis.evaluate.variants import VariantPlan, VariantView


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.sets(st.integers(0, 45)), st.booleans())
def test_every_batch_is_done_by_exactly_one_process(batches: int, first: int, second: int, cut: set[int], known: bool):
    """Of a run that was killed with one number of processes and went on with another."""
    total = batches if known else None
    done: set[int] = set()
    for world in (first, second):
        taken = [n for rank in range(world) for n in range(batches) if n in Share(rank, world, done, total)]
        assert sorted(taken) == [n for n in range(batches) if n not in done]
        done |= {n for n in taken if n in cut}


def test_shares_of_known_data_are_neighbours_and_their_numbers_are_what_they_hold() -> None:
    shares = [Share(rank, 3, {4}, 10) for rank in range(3)]
    assert [share.numbers() for share in shares] == [[0, 1, 2], [3, 5], [6, 7, 8, 9]]
    assert all((n in share) == (n in share.numbers()) for share in shares for n in range(10))
    assert 12 in shares[2] and 12 not in shares[1]  # a stream longer than it said


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 24, 3), dtype=np.uint8)
        path = tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def _same(one: Batch, two: Batch) -> None:
    assert (one.number, one.size, one.entries, one.skipped) == (two.number, two.size, two.entries, two.skipped)
    assert one.tensors.keys() == two.tensors.keys()
    for name, tensor in one.tensors.items():
        np.testing.assert_array_equal(tensor, two.tensors[name])


@pytest.fixture
def _afresh() -> Iterator[None]:
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("_afresh")
def test_workers_that_start_afresh_read_the_same(photos: Path) -> None:
    """As Python 3.14 starts them: data set, view and transform travel by pickle."""
    source = open_source(f"imagefolder:{photos}")
    transform = block_backbone().transform()
    view = VariantView(VariantPlan(("full",), objects=False), {"a": transform})
    for chosen in (ModelView(transform), view):
        batches = [list(make_loader(source, chosen, batch_size=2, workers=workers)) for workers in (0, 1)]
        assert [batch.number for batch in batches[0]] == [0, 1, 2]
        for one, two in zip(*batches, strict=True):
            _same(one, two)


FULL = """
import sys, torch
from vitvis.data.kinds import open_source
from vitvis.data.loader import ModelView, make_loader

def large(image):
    return torch.zeros(3, 2000, 2000)

for batch in make_loader(open_source(sys.argv[1]), ModelView(large), batch_size=2, workers=1):
    print(batch.failure)
"""


def test_full_shared_memory_is_one_line_that_names_workers(photos: Path, root: Path) -> None:
    """In a mount of its own, where /dev/shm has room for a megabyte."""
    script = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$0" -c "$1" "$2"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, FULL]
    done = subprocess.run([*command, f"imagefolder:{photos}"], capture_output=True, text=True, cwd=root, timeout=200)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("needs to mount a small /dev/shm")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.count("give workers=0") == 3, done.stdout
