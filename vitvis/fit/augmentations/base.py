"""What an augmentation is: a draw for one copy, and its replay on all images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Generator, Tensor

from ..registry import Registry

__all__ = ["AUGMENTATIONS", "Augmentation", "Draw", "augmentation"]

#: The random numbers of one copy, by name; stacked for replay.
Draw = dict[str, Tensor]


class Augmentation:
    """One random change of copies of images, split into the draw and the replay.

    The split is what keeps an image independent of its neighbours: a draw knows the copy and not the image, and the
    replay does to every image the same.

    Attributes:
        name: part of the key of its draws, so that switching one augmentation off leaves the draws of others alone.
        shared: one draw serves all copies of a step.
        on_host: draws that stay on the CPU, because the replay looks at them there.
        graded: it can be weaker for some images: where a recipe eases off (`augment.ease`), its draws have
            a `strength` `[U, 1, 1]`, 0..1, of each image.
        channels: of the images; set before the first draw where they are not three.
    """

    name = "augmentation"
    shared = False
    on_host: tuple[str, ...] = ()
    graded = False
    channels = 3

    def active(self, progress: float) -> bool:
        """Tell whether it changes anything when `progress` (0..1) of the steps is done."""
        return True

    def draw(self, size: tuple[int, int], progress: float, generator: Generator) -> Draw:
        """Draw the random numbers of one copy, on the CPU.

        Args:
            size: rows and columns of the image.
            progress: share of the steps that are done, 0..1.
            generator: the only source of randomness.
        """
        raise NotImplementedError

    def apply(self, copies: Tensor, draws: Draw) -> Tensor:
        """Change copies.

        Args:
            copies: `[U, A, C, H, W]`.
            draws: each `[U or 1, A, ...]` on the device of `copies`, but for those in `on_host`.

        Returns:
            `[U, A, C, H, W]`.
        """
        raise NotImplementedError


A = TypeVar("A", bound=type[Augmentation])

AUGMENTATIONS: Registry[type[Augmentation]] = Registry("augmentation")


def augmentation(name: str) -> Callable[[A], A]:
    """Register an augmentation of your own under `name`; it then joins a recipe after all others.

        @augmentation("brightness")
        class Brightness(Augmentation):
            def __init__(self, most: float = 0.1) -> None:
                self.most = most
            ...

    and `augment.extra.brightness.most=0.2` (or `augment.extra.brightness={}`) makes it part of the recipe. `name` keys
    its draws as well.
    """

    def add(kind: A) -> A:
        kind.name = name
        AUGMENTATIONS.register(name)(kind)
        return kind

    return add
