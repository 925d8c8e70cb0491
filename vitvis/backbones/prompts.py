"""Units that are meanings: `text:"a photo of a concert hall"`, `image:FILE`, and weighted sums of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vitvis.config.addresses import is_prompt, split_addresses
from vitvis.errors import VitvisError

from .backbone import Backbone
from .units import Unit, check_file, parse_units

__all__ = ["Term", "check_files", "embed_terms", "parse_prompt", "resolve_units"]

_TERM = re.compile(
    r"""\s*(?:(?P<kind>text|image):)?\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^"'+*\s][^"'+*]*))"""
    r"""\s*(?:\*\s*(?P<weight>-?(?:\d+\.?\d*|\.\d+)))?\s*(?P<end>\+|$)"""
)


@dataclass(frozen=True)
class Term:
    """One part of a prompt: a text or a picture's file, and its weight."""

    kind: str
    value: str
    weight: float = 1.0


def parse_prompt(address: str) -> list[Term]:
    """Read `text:"a dog"*0.7+"a cat"*-0.3+image:FILE`; a part without `text:` or `image:` is of the kind before it.

    Raises:
        VitvisError: it can't be read; names the place.
    """
    terms: list[Term] = []
    position, kind, more = 0, "", True
    while more:
        match = _TERM.match(address, position)
        kind = (match["kind"] or kind) if match else kind
        value = (
            next((match[name] for name in ("double", "single", "bare") if match[name] is not None), "") if match else ""
        )
        if match is None or not kind or not value.strip():
            raise VitvisError(
                f"units '{address}': can't be read at '{address[position : position + 20]}'; "
                'write text:"a dog", image:FILE, or weighted: text:"a dog"*0.7+"a cat"*-0.3'
            )
        terms.append(Term(kind, value.strip(), float(match["weight"] or 1)))
        position, more = match.end(), match["end"] == "+"
    return terms


def embed_terms(terms: Sequence[Term], backbone: Backbone, address: str) -> Tensor:
    """Return the direction of a prompt, `[D]` of length 1: the weighted sum of the unit embeddings of its parts.

    Raises:
        VitvisError: a text for a model without a text tower, an unreadable picture, weights that cancel out.
    """
    texts = [term.value for term in terms if term.kind == "text"]
    if texts and backbone.language is None:
        raise VitvisError(
            f"units '{address}': {backbone.name} has no text tower; use a model of open_clip, such as "
            "model=open_clip:ViT-B-16 (image:FILE works with any model that has a head)"
        )
    words = iter(backbone.language.encode_text(texts) if texts and backbone.language is not None else ())
    total = sum(
        (
            term.weight * (next(words) if term.kind == "text" else _embed_picture(term.value, backbone, address))
            for term in terms
        ),
        start=torch.zeros(()),
    )
    if not 1e-6 <= float(total.norm()) < float("inf"):
        raise VitvisError(f"units '{address}': the weighted parts cancel out, or a weight is too large")
    return functional.normalize(total, dim=0)


@torch.no_grad()
def _embed_picture(file: str, backbone: Backbone, address: str) -> Tensor:
    from PIL import Image

    try:
        with Image.open(Path(file).expanduser()) as picture:
            image = backbone.transform()(picture)
    except OSError as error:
        raise VitvisError(f"units '{address}': can't read the picture '{file}'") from error
    output = backbone(image[None].to(backbone.mean.device))
    return functional.normalize(output[0].float(), dim=0).cpu()


def check_files(addresses: str | Sequence[str]) -> None:
    """Look at the files that addresses name, before a model is loaded: they are there and can be read.

    Raises:
        VitvisError: naming the file; or a prompt that can't be read.
    """
    for address in split_addresses(addresses):
        if not is_prompt(address):
            check_file(address)
            continue
        for term in parse_prompt(address.removeprefix("-").removeprefix("+")):
            if term.kind == "image" and not Path(term.value).expanduser().is_file():
                raise VitvisError(f"units '{address}': no such file '{term.value}'")


def resolve_units(addresses: Sequence[str], backbone: Backbone, seed: int = 0) -> list[Unit]:
    """Turn addresses into units like `parse_units`, prompts among them; these come last, at the embedding `head`.

    Raises:
        VitvisError: see `parse_units`, `parse_prompt` and `embed_terms`.
    """
    plain = [address for address in addresses if not is_prompt(address)]
    prompts = list(dict.fromkeys(address.strip() for address in addresses if is_prompt(address)))
    units = parse_units(plain, backbone.sites, seed=seed) if plain or not prompts else []
    if prompts and "head" not in backbone.sites:
        raise VitvisError(f"units '{prompts[0]}': {backbone.name} has no head, so no embedding to compare with")
    found = []
    for address in prompts:
        body = address.removeprefix("-").removeprefix("+")
        vector = embed_terms(parse_prompt(body), backbone, address)
        found.append(Unit("head", 0, -1 if address.startswith("-") else 1, body, vector))
    # prompts go beside the head's own units, which parse_units has put last of all named sites
    last = [unit for unit in units if unit.site == "head"]
    return [unit for unit in units if unit.site != "head"] + last + found
