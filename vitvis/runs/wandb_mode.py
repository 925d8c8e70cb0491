"""Whether Weights & Biases may be asked: never where it would stop to ask for a key or wait for a network."""

from __future__ import annotations

import logging
import netrc
import os
from typing import Literal

__all__ = ["wandb_mode"]

_log = logging.getLogger("vitvis")


def wandb_mode(mode: str = "auto") -> Literal["online", "offline", "disabled"]:
    """Return the mode W&B is to run in; says in one line why not online where that was asked for.

    Args:
        mode: `online`, `offline`, `disabled`, or `auto`: what WANDB_MODE says, else online where there is a key.
    """
    asked = mode if mode != "auto" else os.environ.get("WANDB_MODE", "auto")
    if asked in ("disabled", "offline", "dryrun"):
        return "disabled" if asked == "disabled" else "offline"
    if _has_key():
        return "online"
    if asked == "online":
        _log.warning("logger.mode=online: no W&B key (WANDB_API_KEY or `wandb login`); logging offline instead")
    return "offline"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, RuntimeError, netrc.NetrcParseError):  # no file, no home, or not for us to read
        return False
