"""What units mean: words for them, and a score that tells meaning from look."""

from __future__ import annotations

__all__: list[str] = []
