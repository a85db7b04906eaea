"""What the benchmarks share: a line about the machine, PSNR, a JPEG of a given size."""

import io
import os
import platform
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("tensorflow", "keras", "numpy", "pillow", "constriction")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"


def psnr(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    mse = np.mean((reference.astype(np.float64) - decoded) ** 2)
    return float(10 * np.log10(255**2 / mse)) if mse else float("inf")


def jpeg_of_size(image: Image.Image, size: int) -> bytes:
    """The JPEG (4:2:0, optimized) whose size is nearest to `size` bytes."""
    best = b""
    for quality in range(1, 96):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        coded = stream.getvalue()
        if best and abs(len(coded) - size) > abs(len(best) - size):
            break
        best = coded
    return best


def decoded(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)
