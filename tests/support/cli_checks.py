"""Shared by tests of the command line: running it, and files to run it on without a fit."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("click")

from click.testing import CliRunner, Result
from PIL import Image

from pillow_inr.cli.commands import main
from pillow_inr.format import metadata
from pillow_inr.format.metadata import Metadata
from tests.support import container
from tests.support.checks import VECTORS, gradient

RGB = VECTORS / "rgb.inr"
QUICK = ("--width", "8", "--depth", "2", "--steps", "40")


def run(*arguments: object) -> Result:
    """Run the command; `output` holds both of its streams."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def with_chunks(data: bytes, kept: Metadata, psnr_db: float | None = None) -> bytes:
    """The file with metadata in it."""
    header, payload, chunks = container.unpack(data)
    more = [*chunks, *kept.to_chunks(), *([] if psnr_db is None else [metadata.psnr_chunk(psnr_db)])]
    packed = container.pack_chunks(more)
    return container.pack(replace(header, chunks_bytes=len(packed)), payload, packed)


def exif(orientation: int = 6) -> bytes:
    """EXIF data with an orientation and a maker."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Maker"
    return tags.tobytes()


def tree(folder: Path) -> set[str]:
    """The files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def photographs(folder: Path) -> Path:
    """A folder of images, some in subfolders, among other files."""
    below = folder / "trip"
    (folder / ".hidden").mkdir(parents=True)
    below.mkdir()
    picture = Image.fromarray(gradient(12, 9))
    picture.save(folder / "b.png")
    picture.convert("L").save(folder / "grey.jpg")
    picture.save(below / "a.webp")
    picture.save(folder / ".hidden" / "c.png")
    picture.save(folder / ".d.png")
    (folder / "notes.txt").write_text("hello")
    (folder / "old.inr").write_bytes(RGB.read_bytes())
    return folder
