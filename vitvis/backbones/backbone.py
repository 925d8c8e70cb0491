"""The frozen model under study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from .discover import Sites, find_sites
from .gradients import guard_norms
from .site import Site
from .transform import EvalTransform

if TYPE_CHECKING:
    from .language import Language

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """A model in eval mode, frozen, fed images in [0, 1].

    Args:
        model: takes normalised images `[B, C, H, W]`.
        name: how the model is called.
        weights: where its weights come from, as the user wrote it.
        weights_id: 12 hexadecimal digits that name the weights themselves.
        mean: of the normalisation, one number a channel.
        std: of the normalisation, one number a channel.
        image_size: rows and columns.
        class_names: of the classifier's outputs, where known.
        eval_settings: `crop_pct`, `crop_mode` and `interpolation` of the model's own evaluation transform.
        num_classes: outputs of the classifier; None: the model's own attribute of this name.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        weights: str,
        weights_id: str,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
        image_size: tuple[int, int] = (224, 224),
        class_names: list[str] | None = None,
        eval_settings: dict[str, Any] | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.weights = weights
        self.weights_id = weights_id
        self.model = model.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.class_names = class_names
        self._num_classes = num_classes
        self.eval_settings = dict(eval_settings or {})
        self.language: Language | None = None  # the text tower, where the model has one
        super().train(False)
        guard_norms(self.model)

    def train(self, mode: bool = True) -> Backbone:
        """Stay in eval mode: a Trainer that calls `train()` must not switch dropout or batch statistics on."""
        return self

    def described(self, sites: Iterable[Site]) -> dict[str, Any]:
        """Return what manifests say of a model and of those sites of it that a run looks at."""
        return {
            "name": self.name,
            "weights": self.weights,
            "weights_id": self.weights_id,
            "image_size": list(self.image_size),
            "sites": [site.described for site in sites],
        }

    @property
    def channels(self) -> int:
        """Channels of an image: 3 of RGB, one of grey pictures, any other number of bands."""
        return int(self.mean.shape[1])

    @property
    def num_classes(self) -> int:
        """Number of outputs of the classifier; 0 where the model has none."""
        if self._num_classes is not None:
            return self._num_classes
        return int(getattr(self.model, "num_classes", 0) or 0)

    def normalize(self, images: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]` from [0, 1] to what the model was trained on, in the precision of the backbone."""
        return (images.to(self.mean.dtype) - self.mean) / self.std

    def forward(self, images: Tensor) -> Any:
        """Run the model on images `[B, 3, H, W]` in [0, 1]; returns what it returns."""
        return self.model(self.normalize(images))

    def transform(self) -> Callable[[Image.Image], Tensor]:
        """The model's own evaluation transform, without the normalisation.

        Returns:
            From a picture to float32 `[C, H, W]` in [0, 1]; pickles.
        """
        return EvalTransform(self.image_size, self.eval_settings, self.channels)

    @cached_property
    def sites(self) -> Sites:
        """All named sites, by name, in order of execution; any other submodule's path is looked up on demand."""
        return find_sites(self.model, self.name, self.image_size, self.num_classes, self.channels)

    def site(self, name: str) -> Site:
        """Look a site up.

        Raises:
            VitvisError: there is none of that name; names the nearest and how to list them.
        """
        return self.sites.get_site(name)
