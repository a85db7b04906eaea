"""Metadata of an image <-> chunks of its file: EXIF, ICC profile, XMP, comment, resolution; and the PSNR.

Standard library only, because opening a file reads metadata. Knows no image library: the plugins move metadata from and
to `Image.info`.
"""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import limits
from ..errors import FormatError
from .chunks import (
    CHUNK_COMMENT,
    CHUNK_DPI,
    CHUNK_EXIF,
    CHUNK_ICC_PROFILE,
    CHUNK_PSNR,
    CHUNK_XMP,
    Chunk,
    first_chunk,
)

# The PSNR is stored in hundredths of a dB; this value stands for a file without any error.
_EXACT = 0xFFFF
_COMPRESSED = {"exif": CHUNK_EXIF, "icc_profile": CHUNK_ICC_PROFILE, "xmp": CHUNK_XMP, "comment": CHUNK_COMMENT}
_TEXTS = ("xmp", "comment")
NAMES = (*_COMPRESSED, "dpi")
STRIPPED = tuple(name for name in NAMES if name != "icc_profile")
"""What `--strip` drops: everything but the colour profile, without which the colours would change."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Metadata of an image, under Pillow's names; None for what the image does not have."""

    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    comment: bytes | None = None
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical resolution in pixels per inch."""

    @classmethod
    def of(cls, keywords: Mapping[str, Any], info: Mapping[Any, Any]) -> "Metadata":
        """Take metadata from the keywords of a save and, where they name none, from `Image.info`.

        Args:
            keywords: metadata by Pillow's names; None drops what `info` has. Other keywords are ignored.
            info: as another format's plugin may have left it; malformed values are ignored.
        Raises:
            ValueError: a keyword's value is of the wrong type, or there are more than `limits.METADATA_MAX` bytes.
        """
        values: dict[str, Any] = {}
        for name in NAMES:
            given = name in keywords
            value = keywords[name] if given else info.get(name)
            if value is not None:
                try:
                    values[name] = _checked_dpi(value) if name == "dpi" else _checked_bytes(name, value)
                except ValueError:
                    if given:
                        raise
        total_bytes = sum(len(value) for value in values.values() if isinstance(value, bytes))
        if total_bytes > limits.METADATA_MAX:
            raise ValueError(
                f"the metadata have {total_bytes} bytes, more than {limits.METADATA_MAX}: set some of them to None"
            )
        return cls(**values)

    @classmethod
    def from_chunks(cls, chunks: Sequence[Chunk]) -> "Metadata":
        """Read the metadata of a file; only the first chunk of each kind counts.

        Raises:
            FormatError: a chunk is malformed, or there are more than `limits.METADATA_MAX` bytes.
        """
        texts: dict[str, bytes] = {}
        for name, kind in _COMPRESSED.items():
            data = first_chunk(chunks, kind)
            if data is not None:
                texts[name] = _decompress(name, data, limits.METADATA_MAX - sum(map(len, texts.values())))
        return cls(**texts, dpi=_read_dpi(first_chunk(chunks, CHUNK_DPI)))

    def to_chunks(self) -> list[Chunk]:
        """Write the metadata as chunks (docs/format.md section 8)."""
        chunks = [
            Chunk(kind, zlib.compress(getattr(self, name), 9))
            for name, kind in _COMPRESSED.items()
            if getattr(self, name) is not None
        ]
        if self.dpi is not None:
            chunks.append(Chunk(CHUNK_DPI, struct.pack("<ff", *self.dpi)))
        return chunks

    def info(self) -> dict[str, Any]:
        """The metadata that the image has, by name, for `Image.info`."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


def is_same(value: Any, other: Any) -> bool:
    """Whether two values of `Image.info` are equal; False for those that cannot be compared, such as arrays."""
    try:
        return value is other or bool(value == other)
    except Exception:  # whatever the values' own comparison raises
        return False


def psnr_chunk(psnr_db: float) -> Chunk:
    """Write a PSNR in dB as a chunk, rounded to 0.01 dB and limited to 0..655.34; inf for a file without any error."""
    number = _EXACT if psnr_db == math.inf else round(min(max(100 * psnr_db, 0.0), _EXACT - 1.0))
    return Chunk(CHUNK_PSNR, struct.pack("<H", number))


def read_psnr(chunks: Sequence[Chunk]) -> float | None:
    """The PSNR in dB that the file states; None if it states none.

    Raises:
        FormatError: the chunk does not have 2 bytes.
    """
    data = first_chunk(chunks, CHUNK_PSNR)
    if data is None:
        return None
    if len(data) != 2:
        raise FormatError(f"chunks: psnr has {len(data)} bytes, expected 2")
    number: int = struct.unpack("<H", data)[0]
    return math.inf if number == _EXACT else number / 100


def _read_dpi(data: bytes | None) -> tuple[float, float] | None:
    if data is None:
        return None
    if len(data) != 8:
        raise FormatError(f"chunks: dpi has {len(data)} bytes, expected 8")
    horizontal, vertical = struct.unpack("<ff", data)
    if not (0 < horizontal < math.inf and 0 < vertical < math.inf):
        raise FormatError(f"chunks: dpi is {(horizontal, vertical)}, expected two positive numbers")
    return horizontal, vertical


def _checked_bytes(name: str, value: Any) -> bytes:
    if hasattr(value, "tobytes") and not isinstance(value, memoryview):  # PIL.Image.Exif, and arrays
        value = value.tobytes()
    if isinstance(value, str) and name in _TEXTS:
        value = value.encode()
    if not isinstance(value, bytes | bytearray | memoryview):
        raise ValueError(f"{name} must be bytes, got {value!r}")
    return bytes(value)


def _checked_dpi(value: Any) -> tuple[float, float]:
    try:
        horizontal, vertical = (struct.unpack("<f", struct.pack("<f", float(number)))[0] for number in value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        horizontal = vertical = math.nan
    if not (0 < horizontal < math.inf and 0 < vertical < math.inf):
        raise ValueError(f"dpi must be two positive numbers, got {value!r}")
    return horizontal, vertical


def _decompress(name: str, data: bytes, bytes_max: int) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise FormatError(f"chunks: {name} is damaged: {error}") from error
    if len(text) > bytes_max:
        raise FormatError(f"chunks: with {name} there are more than {limits.METADATA_MAX} bytes of metadata")
    if not decompressor.eof or decompressor.unused_data:
        raise FormatError(f"chunks: {name} is damaged: its compressed data does not end where the chunk ends")
    return text
