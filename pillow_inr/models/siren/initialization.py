"""Learned initial weights: the record, its .npz file, its identity, and the chunk that refers to it.

NumPy only. Knows no training (`training.meta_learning` makes initializations) and no image. The .npz file is distrusted
like an .inr file: sizes are checked before memory is allocated, and nothing is unpickled.
"""

import hashlib
import io
import math
import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from ...format.pixel_format import MODES
from .architecture import Architecture
from .header import SirenHeader

IDENTITY_BYTES = 8
# The header of an array in a .npz file takes 128 bytes, or a few times that in unusual cases.
_ARRAY_HEADER_MAX = 1024
# The weights of the largest network take 60 MB in float32.
_FILE_MAX = 1 << 26
_ARCHITECTURE = struct.Struct("<5I")
_MEMBER = "architecture"


@dataclass(frozen=True)
class Initialization:
    """Weights from which a fit may start, and from which a file may store its weights as differences.

    Raises:
        ValueError: the architecture is outside the format's ranges, the weights do not have its shapes, or a weight is
            not finite in float16.
    """

    architecture: Architecture
    weights: tuple[NDArray[np.float32], ...] = field(compare=False, repr=False)
    """Kernels and biases in the order of `Architecture.shapes`, rounded to float16, stored as read-only float32."""
    identity: bytes = field(init=False)
    """How files refer to it: the first 8 bytes of a SHA-256 (docs/format.md section 7)."""

    def __post_init__(self) -> None:
        shapes = _checked(self.architecture).shapes
        found = tuple(np.shape(weight) for weight in self.weights)
        if found != shapes:
            raise ValueError(f"initialization: weights have the shapes {found}, expected {shapes}")
        with np.errstate(over="ignore"):
            halves = [np.asarray(weight).astype("<f2") for weight in self.weights]
        if not all(np.isfinite(half).all() for half in halves):
            raise ValueError("initialization: a weight is not finite, or beyond float16")
        weights = tuple(half.astype(np.float32) for half in halves)
        for weight in weights:
            weight.flags.writeable = False
        digest = hashlib.sha256(_ARCHITECTURE.pack(*_numbers(self.architecture)))
        for half in halves:
            digest.update(half.tobytes())
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "identity", digest.digest()[:IDENTITY_BYTES])

    def references(self, differences: Sequence[bool]) -> list[NDArray[np.float32] | np.float32]:
        """Reference weights of each tensor, to be added to its dequantized symbols.

        Args:
            differences: for each tensor, whether it is coded as differences from this initialization.
        Returns:
            For each tensor its weights here, or 0 if it is not coded as differences.
        """
        pairs = zip(self.weights, differences, strict=True)
        return [weights if is_difference else np.float32(0) for weights, is_difference in pairs]

    def save(self, file: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write the initialization as .npz."""
        arrays: dict[str, Any] = {_MEMBER: np.array(_numbers(self.architecture), "<i8")}
        names = _weight_names(self.architecture)
        arrays |= {name: weight.astype("<f2") for name, weight in zip(names, self.weights, strict=True)}
        np.savez(file, **arrays)


def _numbers(architecture: Architecture) -> tuple[int, ...]:
    a = architecture
    return a.width, a.depth, a.channels, a.frequencies, a.frequency_ratio


def _weight_names(architecture: Architecture) -> list[str]:
    return [f"{kind}_{layer}" for layer in range(1, architecture.depth + 2) for kind in ("kernel", "bias")]


def _checked(architecture: Architecture) -> Architecture:
    """The given architecture; ValueError if no .inr file can have it."""
    a = architecture
    if not 1 <= a.channels <= len(MODES):
        raise ValueError(f"initialization: channels is {a.channels}, expected 1..{len(MODES)}")
    try:
        SirenHeader(width=a.width, depth=a.depth, frequencies=a.frequencies, frequency_ratio=a.frequency_ratio)
    except FormatError as error:
        raise ValueError(str(error).replace("header:", "initialization:")) from error
    return architecture


def load(path: str | os.PathLike[str]) -> Initialization:
    """Read an initialization from its .npz file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file does not hold an initialization.
    """
    with Path(path).open("rb") as file:
        # Not _FILE_MAX + 1 in any case: `read` allocates what it is asked for at once.
        data = file.read(min(os.fstat(file.fileno()).st_size, _FILE_MAX + 1))
    try:
        return from_bytes(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is not an initialization: {error}") from error


def from_bytes(data: bytes) -> Initialization:
    """Read an initialization from the bytes of its .npz file.

    Raises:
        ValueError: the bytes do not hold an initialization.
    """
    if len(data) > _FILE_MAX:
        raise ValueError(f"it has more than {_FILE_MAX} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read(archive)
    except Exception as error:  # on damaged files zipfile and NumPy (which parses Python syntax) raise all kinds
        raise ValueError(str(error)) from error


def _read(archive: zipfile.ZipFile) -> Initialization:
    numbers = [int(number) for number in _array(archive, _MEMBER, (5,), ("<i8",))]
    width, depth, channels, frequencies, frequency_ratio = numbers
    architecture = _checked(
        Architecture(
            width=width, depth=depth, channels=channels, frequencies=frequencies, frequency_ratio=frequency_ratio
        )
    )
    names = _weight_names(architecture)
    expected = sorted(f"{name}.npy" for name in [_MEMBER, *names])
    if sorted(archive.namelist()) != expected:
        raise ValueError(f"its arrays are not architecture, {', '.join(names)}")
    weights = [
        _array(archive, name, shape, ("<f2", "<f4")) for name, shape in zip(names, architecture.shapes, strict=True)
    ]
    return Initialization(architecture, tuple(weights))


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtypes: Sequence[str]) -> NDArray[np.float32]:
    """Read an array of a .npz file; its size, shape and dtype are checked before its values are read."""
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > math.prod(shape) * np.dtype(dtypes[-1]).itemsize + _ARRAY_HEADER_MAX:
        raise ValueError(f"{name} has {member.file_size} bytes, too many for {shape}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed by a method that is neither stored nor deflated")
    stream = io.BytesIO(archive.read(member))
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not an array of NumPy's format 1.0")
    found, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if found != shape or dtype not in [np.dtype(allowed) for allowed in dtypes]:
        raise ValueError(f"{name} is {dtype} {found}, expected {' or '.join(dtypes)} {shape}")
    stream.seek(0)
    array: NDArray[np.float32] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def pack_reference(identity: bytes, differences: Sequence[bool]) -> bytes:
    """Data of a file's initialization chunk: the identity, and one bit per tensor, 1 if it is coded as differences.

    Source: docs/format.md section 7.
    """
    bits = sum(1 << position for position, difference in enumerate(differences) if difference)
    return identity + bits.to_bytes(-(-len(differences) // 8), "little")


def read_reference(data: bytes, tensors: int) -> tuple[bytes, list[bool]]:
    """Undo `pack_reference`.

    Raises:
        FormatError: the data has another length, or no tensor or one beyond the last is marked.
    """
    expected = IDENTITY_BYTES + -(-tensors // 8)
    if len(data) != expected:
        raise FormatError(f"chunks: the initialization has {len(data)} bytes, expected {expected}")
    bits = int.from_bytes(data[IDENTITY_BYTES:], "little")
    if not 0 < bits < 1 << tensors:
        raise FormatError(f"chunks: the initialization's tensors are {bits:#x}, expected 1..{(1 << tensors) - 1:#x}")
    return data[:IDENTITY_BYTES], [bool(bits >> position & 1) for position in range(tensors)]
