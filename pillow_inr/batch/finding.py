"""Finds the images of a batch: what paths, folders, patterns, URLs and lists name."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..inputs import finding, formats
from ..inputs.finding import Skipped, Why
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
    is_file: bool = True
    """False if it stands for a folder or a pattern that leads to no file."""


class Found(NamedTuple):
    """What paths name."""

    sources: list[Source]
    skipped: Skipped


def find(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Found:
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
    skipped = Skipped()
    for text in chain.from_iterable(_listed(os.fspath(path)) for path in paths):
        for key, source in _expand(text, skipped):
            found.setdefault(key, source)
    skipped.forget(found)
    return Found(list(found.values()), skipped)


def _listed(text: str) -> list[str]:
    if not text.startswith("@"):
        return [text]
    path = Path(text[1:])
    if path.suffix.lower() == ".jsonl":
        return [record.source for record in manifest.read(path)]
    return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def _expand(text: str, skipped: Skipped) -> Iterator[tuple[str, Source]]:
    """The images that a path or URL names, and for each a key that is the same for the same file."""
    if remote.is_url(text):
        yield from _of_url(text, skipped)
        return
    if text == str(finding.STDIN):
        raise ValueError("a batch does not read standard input: use 'pillow-inr encode -'")
    found = finding.find([text], finding.IMAGES)
    skipped.add(found.skipped)
    for item in found.items:
        problem = item.problem
        if formats.is_inr_name(item.source) and finding.is_inr(item.source):
            problem = formats.ALREADY_INR
        size = item.source.stat().st_size if problem is None and item.source.is_file() else 0
        source = Source(str(item.source), PurePosixPath(item.below), size, problem, item.is_file)
        yield finding.key(item.source), source


def _of_url(url: str, skipped: Skipped) -> Iterator[tuple[str, Source]]:
    for file, below in remote.expand(url):
        if file == url or (why := _why_not(below)) is None:
            yield file, Source(file, PurePosixPath(below))
        else:
            skipped.files[file] = why


def _why_not(name: str) -> Why | None:
    """Why a file at a URL is left out, by its name: opening it would take a request."""
    if any(part.startswith(".") for part in name.split("/")):
        return finding.HIDDEN
    if formats.is_inr_name(name):
        return finding.INR_FILES
    return None if formats.is_image_name(name) or formats.is_array_name(name) else finding.NOT_IMAGES
