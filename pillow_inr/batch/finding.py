"""Finds the images of a batch: what paths, folders, patterns, URLs and lists name."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from PIL import Image

from ..format.signature import EXTENSION
from ..inputs import sources
from ..storage import remote
from . import manifest


@dataclass(frozen=True)
class Source:
    """An image to encode."""

    path: str
    """Path or URL."""
    below: PurePosixPath
    """Its path relative to the folder that was given."""
    size: int = 0
    """Size of the file in bytes; 0 for a URL, whose size would take a request."""
    problem: str | None = None
    """Why it cannot be read, if that is known already."""


def find(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Source]:
    """Find the images that paths, folders, patterns, URLs and lists name, each once.

    Args:
        paths: as for `encode_many`.
    Raises:
        OSError: a list, or the folder of a URL, cannot be read.
        ImportError: URLs need fsspec.
        ValueError: a list is not UTF-8, or not a valid manifest.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    found: dict[str, Source] = {}
    for text in chain.from_iterable(_listed(os.fspath(path)) for path in paths):
        for source in _expand(text):
            found.setdefault(source.path, source)
    return list(found.values())


def _listed(text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    path = Path(text[1:])
    if path.suffix.lower() == ".jsonl":
        return [record.source for record in manifest.read(path)]
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _expand(text: str) -> Iterator[Source]:
    if remote.is_url(text):
        for url, below in remote.expand(text):
            if url == text or _is_named_image(below):
                yield Source(url, PurePosixPath(below))
        return
    for item in sources.find([text], sources.opens_as_image, "image"):
        size = item.source.stat().st_size if item.problem is None and item.source.is_file() else 0
        yield Source(str(item.source), PurePosixPath(item.below), size, item.problem)


def _is_named_image(name: str) -> bool:
    """Whether a file is an image by its name: opening it would take a request."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix != EXTENSION and (suffix in Image.registered_extensions() or suffix in sources.ARRAY_SUFFIXES)
