"""Ask the hub once, and take no for an answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_retries"]

HUB_HOST = "huggingface.co"
PATIENCE = 3.0  # seconds to reach the hub


def _reachable() -> bool:
    proxies = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    if any(os.environ.get(name) for name in proxies) or os.environ.get("HF_ENDPOINT"):
        return True  # a proxy or mirror decides; a direct connection proves nothing
    try:
        socket.create_connection((HUB_HOST, 443), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


@contextmanager
def no_retries() -> Iterator[None]:
    """Where the hub can't be reached, let its client look only into its cache, for the length of the block.

    The client itself would try again and again for a minute. Its own offline switches (`HF_HUB_OFFLINE`) are honoured.
    """
    import huggingface_hub.constants as constants

    before = constants.HF_HUB_OFFLINE
    if not before and not _reachable():
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
