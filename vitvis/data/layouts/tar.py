"""A tar file of images; the folders at its top are the classes."""

from __future__ import annotations

import os
import tarfile
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL.Image import Image

from vitvis.data.classes import make_classes
from vitvis.data.decode import decode, is_picture
from vitvis.data.layouts.files import no_images
from vitvis.data.photo import UnusableImage
from vitvis.data.source import Request, Source
from vitvis.errors import VitvisError

__all__ = ["Tar"]


class Tar(Source):
    """All images of one tar file, compressed or not, in the order of their paths; any can be read at any time."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, split="")
        if request.split is not None:
            raise VitvisError(f"{request.spec}: is one file, so split={request.split} says nothing; leave it out")
        if not request.folder.is_file():
            raise VitvisError(f"{request.spec}: no such file: {request.path}")
        try:
            with tarfile.open(request.folder) as tar:
                found = [member for member in tar if member.isfile() and is_picture(member.name)]
        except (tarfile.TarError, EOFError, OSError) as error:
            raise VitvisError(f"{request.spec}: can't be opened ({' '.join(str(error).split())})") from None
        if not found:
            raise no_images(request)
        self._members = sorted(found, key=lambda member: member.name)
        self.length = len(self._members)
        paths = [PurePosixPath(member.name) for member in self._members]
        folders = [path.parts[0] if len(path.parts) > 1 else "" for path in paths]
        self.classes = make_classes([folder for folder in folders if folder])
        label_of = {name: label for label, name in enumerate(self.classes.ids or self.classes.names)}
        self.labels = np.array([label_of.get(folder, -1) for folder in folders], np.int64)
        self._open: tuple[int, tarfile.TarFile] | None = None

    def key(self, index: int) -> str:
        """Return an image's path within the file."""
        return str(PurePosixPath(self._members[index].name))

    def load(self, index: int) -> Image:
        """Decode an image; every process opens the file for itself, since an open file has one place for all."""
        if self._open is None or self._open[0] != os.getpid():
            self._open = os.getpid(), tarfile.open(self.request.folder)
        try:
            file = self._open[1].extractfile(self._members[index])
            data = file.read() if file is not None else b""
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UnusableImage(f"can't be read: {error}") from None
        return decode(data)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}
