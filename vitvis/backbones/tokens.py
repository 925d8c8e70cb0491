"""Which tokens of an activation count."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vitvis.errors import VitvisError, nearest

from .site import Site

__all__ = ["select_tokens"]

_WORDS = ("patches", "cls", "all")


def _parse(tokens: str | int | Sequence[int]) -> str | int | tuple[int, ...]:
    """Read settings that arrive as text: `"7"`, `"0,0,2,2"`, `"(0, 0, 2, 2)"`."""
    if isinstance(tokens, str):
        word = tokens.strip()
        if word in _WORDS:
            return word
        pieces = [piece.strip() for piece in word.strip("()[]").split(",")]
        try:
            numbers = tuple(int(piece) for piece in pieces)
        except ValueError:
            hint = nearest(word, _WORDS)
            raise VitvisError(
                f"tokens '{tokens[:60]}': use patches, cls, all, a patch index or a box top,left,bottom,right{hint}"
            ) from None
        return numbers[0] if len(numbers) == 1 else numbers
    if isinstance(tokens, int):
        return tokens
    return tuple(int(number) for number in tokens)


def select_tokens(activations: Tensor, site: Site, tokens: str | int | Sequence[int] = "patches") -> Tensor:
    """Keep the tokens that count.

    Args:
        activations: `[B, T, C]` from a `Tap`.
        site: where they come from.
        tokens: `patches` (all but CLS, register and distillation tokens), `cls` (the first prefix token), `all`,
            the row-major index of a patch (negative: from the end), or a box `(top, left, bottom, right)` in patch
            coordinates, bottom and right exclusive. A site without tokens (`NC`) has one vector, which all but an
            index other than 0 and a box select.

    Returns:
        `[B, T', C]`, a view.

    Raises:
        VitvisError: the site has no such token.
    """
    choice = _parse(tokens)
    if choice == "all":
        return activations
    if site.grid is None:
        if choice in ("patches", "cls", 0, -1):
            return activations
        raise VitvisError(f"tokens {tokens}: site {site.name} has no patches; use tokens=all")
    prefix = site.prefix_tokens
    if choice == "cls":
        if prefix == 0:
            raise VitvisError(f"tokens cls: site {site.name} has no class token; use tokens=patches")
        return activations[:, :1]
    rows, columns = site.grid
    patches = activations[:, prefix:]
    if choice == "patches":
        return patches
    if isinstance(choice, int):
        count = rows * columns
        if not -count <= choice < count:
            raise VitvisError(f"token {choice}: site {site.name} has {count} patches ({rows} x {columns})")
        return patches[:, choice % count : choice % count + 1]
    if not isinstance(choice, tuple) or len(choice) != 4:
        raise VitvisError(f"tokens {tokens}: a box is top,left,bottom,right")
    top, left, bottom, right = choice
    if not (0 <= top < bottom <= rows and 0 <= left < right <= columns):
        raise VitvisError(
            f"tokens {choice}: the box does not fit the {rows} x {columns} patches of {site.name} "
            "(top,left,bottom,right; bottom and right exclusive)"
        )
    grid = patches.unflatten(1, (rows, columns))
    return grid[:, top:bottom, left:right].flatten(1, 2)
