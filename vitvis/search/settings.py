"""Settings of `python -m vitvis.search`."""

from __future__ import annotations

from dataclasses import dataclass

from vitvis.config import limits, setting
from vitvis.config.addresses import parse_addresses
from vitvis.config.parsers import parse_tokens
from vitvis.config.sizes import parse_image_size
from vitvis.config.values import shown
from vitvis.errors import VitvisError
from vitvis.launch.settings import LaunchSettings, PlaceSettings, check_shard
from vitvis.launch.shards import parse_shard

__all__ = ["SearchSettings", "SearchTrainerSettings"]


@dataclass
class SearchTrainerSettings(PlaceSettings):
    """Where the work is done, and how."""

    precision: str = setting("32-true", choices=("32-true", "bf16-mixed"))
    """Arithmetic: bf16-mixed is faster on a GPU, and its rankings differ where images are close."""


@dataclass
class SearchSettings:
    """Find the images that excite units most."""

    model: str = setting("vitvis_vit")
    """A bundled model or any timm model."""
    weights: str = setting("hub", path="weights")
    """hub (bundled or downloaded), none (random), or a .safetensors / .pth file."""
    image_size: int | list[int] | None = setting(None, unit="px", parser=parse_image_size)
    """Side of the image, or ROWSxCOLUMNS; the model's own when null."""
    data: str | None = setting(
        None,
        required="data= says which images to search; give data=KIND:PATH, such as "
        "data=imagefolder:PATH (kinds: imagefolder, folder, parquet, imagenet, imagenet-s, "
        "imagenet9, hfds, hfids, wds, tfds, torch, tar)",
        path="any",
    )
    """KIND:PATH; kinds: imagefolder (a folder a class), folder, parquet, imagenet, imagenet-s, imagenet9, hfds, hfids,
    wds, tfds, torch, tar."""
    split: str | None = setting(None)
    """Part of the data: train, val, ...; val where there is one when null."""
    classes: str | None = setting(None, path="file")
    """File with names of classes, 'label TAB name' or a name a line; a classes.tsv beside Parquet files when null."""
    label_file: str | None = setting(None, path="file")
    """Labels of a flat imagenet split: lines of 'file wnid' or 'file label'."""
    limit: int | None = setting(None, unit="images", minimum=1, maximum=limits.IMAGES)
    """Search only the first so many images."""
    regions: str = setting("auto", path="any")
    """Where objects are: auto (as the data has them), none, polygons:FOLDER, masks:FOLDER."""
    units: list[str] = setting(["blocks.*.mlp:*"], parser=parse_addresses, path="any", length=(1, limits.COUNT))
    """Unit addresses SITE:UNITS; SITE may hold * and {0,5}, UNITS is 3 | 0-7 | 3,17 | * | ~8 (eight drawn by seed)."""
    tokens: str | int | list[int] = setting("patches", parser=parse_tokens)
    """Positions whose mean is an image's activation: patches, cls, all, the index of a patch (row by row; negative:
    from the end), or a box [top,left,bottom,right] in patches."""
    k: int = setting(20, unit="images", minimum=1, maximum=10000)
    """Strongest and weakest images kept for each unit."""
    labels: int = setting(0, unit="images", minimum=0, maximum=10000)
    """Strongest images of each unit whose labels are counted (100 is usual), where the data has labels and is no
    stream; 0: none."""
    ablate: int = setting(0, unit="images", minimum=0, maximum=10000)
    """Set each unit to its mean on so many of its strongest images, and keep which classes lose by it; one more pass,
    of units times images. Needs a classifier and thumbnails. 0: none."""
    sample: int = setting(512, unit="images", minimum=0, maximum=limits.COUNT)
    """Images drawn from the data, from which deciles are read."""
    per_decile: int = setting(2, unit="images", minimum=0, maximum=10000)
    """Images kept from each tenth of a unit's distribution."""
    seed: int = setting(0, minimum=0, maximum=limits.SEED)
    """Decides which images are drawn, and which units ~8 means."""
    maps: bool = setting(True)
    """Keep a patch map of each strongest image."""
    thumbs: str = setting("all", choices=("all", "strongest", "none"))
    """Images that get a thumbnail: all that a record names, or only the strongest."""
    strips: str = setting("all")
    """Units that get a strip of pictures: all, none, or so many of each site."""
    bands: list[int] | None = setting(None, length=(3, 3), minimum=0, maximum=255)
    """Of a model that takes no RGB: three bands that are shown as red, green and blue; grey tiles, one a band, when
    null."""
    strip_images: int = setting(4, unit="images", minimum=1, maximum=10000)
    """Exemplars in a strip, each with its map."""
    fit: str | None = setting(None, path="folder")
    """Run folder of vitvis.fit whose images stand beside the exemplars."""
    batch_size: int | None = setting(None, unit="images", minimum=1, maximum=limits.COUNT)
    """Images a forward pass; 64 when null."""
    workers: int | None = setting(None, minimum=0, maximum=limits.PROCESSES)
    """Processes that decode images; chosen for the machine when null."""
    checkpoint_every: int = setting(5000, unit="images", minimum=0, maximum=limits.IMAGES)
    """Images between the checkpoints a killed search goes on from; 0: none."""
    shard: str | None = setting(None, parser=parse_shard)
    """Do one share of the photos, `I/N` with I from 0 to N - 1; any number of such processes may work in one folder,
    and the last to end joins what all have found."""
    finish: bool = setting(False)
    """Join what shards have found, and refuse if any part is missing."""
    launch: LaunchSettings = setting(LaunchSettings)
    """Hand the work to a scheduler as shards, and return."""
    trainer: SearchTrainerSettings = setting(SearchTrainerSettings)
    """Where the work is done."""
    out: str | None = setting(None, path="out")
    """The run folder, where a killed search goes on; out/search-MODEL-HASH when null."""

    def __post_init__(self) -> None:
        check_shard(self.shard, self.finish, self.trainer, self.launch)
        if self.strips not in ("all", "none") and not (self.strips.isdigit() and len(self.strips) < 9):
            raise VitvisError(f"strips={shown(self.strips)}: has to be all, none, or a number of units of each site")
        if self.ablate and self.thumbs == "none":
            raise VitvisError(f"ablate={self.ablate}: is measured on thumbnails, and thumbs=none leaves none")
        if self.per_decile and self.sample and self.sample < 10 * self.per_decile:
            raise VitvisError(
                f"sample={self.sample}: is too small to draw per_decile={self.per_decile} from each tenth"
            )
