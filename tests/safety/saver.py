"""Saves to one path again and again, until a fault ends it: what `faults` runs in processes of their own.

Prints "ready" before the first save; the exit status tells how it ended.
"""

import argparse
import dataclasses
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from PIL import Image

import pillow_inr
from pillow_inr import codec
from pillow_inr.cli import commands
from tests.support import container

NEWER = Path(__file__).parent.parent / "vectors" / "pyramid" / "photo.inr"
# Some tenths of a second each, once TensorFlow is there and has compiled.
FIT = {"model": "siren", "width": 8, "depth": 2, "steps": 200}
# Exit statuses: an OSError before anything was encoded, and after.
REFUSED, FAILED, INTERRUPTED = 3, 4, 130
NOBODY = 65534


def newer(more: int) -> bytes:
    """A file with as many bytes of metadata."""
    header, payload, _ = container.unpack(NEWER.read_bytes())
    chunks = container.pack_chunks([container.Chunk(100, bytes(more))])
    return container.pack(dataclasses.replace(header, chunks_bytes=len(chunks)), payload, chunks)


def ways(image: Image.Image, options: dict[str, Any]) -> dict[str, Callable[[Path], object]]:
    """The ways of saving, by name."""
    return {
        "pillow_inr.save": lambda path: pillow_inr.save(image, path, **options),
        "imageio.imwrite": lambda path: iio.imwrite(path, np.asarray(image), **options),
        "pillow-inr encode": lambda path: _command_line(image, path, options),
        "Image.save": lambda path: image.save(path, **options),
    }


def _command_line(image: Image.Image, path: Path, options: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.png"
        image.save(source)
        arguments = [f"--{name}={value}" for name, value in options.items()]
        try:
            commands.main(
                ["encode", str(source), f"--out={path}", "--force", "--quiet", *arguments], standalone_mode=False
            )
        except SystemExit as end:
            if end.code == INTERRUPTED:
                raise KeyboardInterrupt from end
            if end.code:
                raise OSError(f"status {end.code}") from end


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way")
    parser.add_argument("path", type=Path)
    parser.add_argument("--more", type=int, default=8_000_000, help="bytes of metadata, so that writing takes a while")
    parser.add_argument("--fit", action="store_true", help="fit every time instead of saving one result")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--largest", type=int, help="limit on the size of a file, in bytes")
    parser.add_argument("--nobody", action="store_true", help="as a user who may write nowhere")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    encodes = 0
    encode, data = codec.encode, newer(arguments.more)

    def counted(*given: Any) -> bytes:
        nonlocal encodes
        encodes += 1
        return encode(*given) if arguments.fit else data

    codec.encode = counted
    x, y = np.meshgrid(np.arange(32), np.arange(24))
    image = Image.fromarray(np.stack([8 * x, 10 * y, 4 * (x + y)], axis=-1).astype(np.uint8))
    save = ways(image, FIT if arguments.fit else {})[arguments.way]
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "first.inr")  # imports whatever the others need
    encodes = 0
    if arguments.largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (arguments.largest, arguments.largest))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if arguments.nobody:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        print("ready", flush=True)
        while True:
            save(arguments.path)
            if arguments.once:
                return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(error, file=sys.stderr)
        return FAILED if encodes else REFUSED


if __name__ == "__main__":
    sys.exit(main())
