"""Fuzz targets: every reader of the package, with assertions that must hold for any bytes.

A target takes bytes and returns; any exception is a finding. It first corrects the checksum, which would otherwise keep
a fuzzer from everything beneath it. Targets skip expensive files, so that a fuzzer makes thousands of executions a
second; other tests check that `pillow_inr.limits` bounds the cost of a file.
"""

import contextlib
import io
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

import pillow_inr
from pillow_inr.errors import FormatError
from pillow_inr.format.chunks import CHUNK_TRANSPARENCY
from pillow_inr.format.header import Header
from pillow_inr.format.info import file_info
from pillow_inr.format.metadata import Metadata, read_psnr
from pillow_inr.imaging.exif_tags import exif_tags
from pillow_inr.imaging.transparency import Transparency, to_chunk
from pillow_inr.models.pyramid import decoding, latent_coding, structure
from pillow_inr.models.pyramid import synthesis as pyramid_synthesis
from pillow_inr.models.pyramid.region import Region as PixelRegion
from pillow_inr.models.pyramid.structure import Pyramid
from pillow_inr.models.siren import initialization, mosaic_coding, weight_coding
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.division import Region, divided
from tests.support import container

# Pixels and weights of the files that a target decodes.
PIXELS_MAX = 2000
WEIGHTS_MAX = 20000


def header(data: bytes) -> None:
    """Bytes as the beginning of a file: an accepted header is packed to the same bytes."""
    try:
        parsed, length = container.read_header(data)
    except FormatError:
        return
    assert length <= container.HEADER_MAX_BYTES
    assert parsed.pack() == data[:length]
    assert parsed.file_bytes == length + parsed.payload_bytes + parsed.chunks_bytes + container.CRC_BYTES
    assert math.prod(parsed.shape) == math.prod(parsed.size) * parsed.channels


def file_parts(data: bytes) -> None:
    """Bytes as a file without its checksum: parts, outline and metadata."""
    whole = with_checksum(data)
    try:
        parsed, payload, chunks = container.unpack(whole)
    except FormatError:
        with contextlib.suppress(FormatError):
            container.read_outline(io.BytesIO(whole))
        return
    assert container.pack(parsed, payload, container.pack_chunks(chunks)) == whole
    assert container.read_outline(io.BytesIO(whole)) == (parsed, chunks)
    facts_and_metadata(parsed, chunks)


def chunks(data: bytes) -> None:
    """Bytes as chunks."""
    try:
        parsed = container.read_chunks(data)
    except FormatError:
        return
    assert container.pack_chunks(parsed) == data
    facts_and_metadata(
        container.header(size=(1, 1), pixel_format=0, payload_bytes=0, chunks_bytes=0, width=1, depth=1), parsed
    )
    for chunk in parsed:
        if chunk.kind == container.CHUNK_INITIALIZATION:
            with contextlib.suppress(FormatError):
                identity, differences = initialization.read_reference(chunk.data, 6)
                assert initialization.pack_reference(identity, differences) == chunk.data


def facts_and_metadata(parsed: Header[Any], found: Sequence[container.Chunk]) -> None:
    """Read what opening a file reads."""
    with contextlib.suppress(FormatError):
        read_psnr(found)
        file_info(parsed, found)
    with contextlib.suppress(FormatError):
        metadata = Metadata.from_chunks(found)
        assert Metadata.from_chunks(metadata.to_chunks()) == metadata
        exif_tags(metadata.exif)


def transparent_pixels(data: bytes) -> None:
    """2 bytes choose the size of an image, the rest is its chunk of transparent pixels, unpacked or as it is."""
    if len(data) < 2:
        return
    size = 1 + data[0] % 64, 1 + data[1] % 64
    parsed = container.header(size=size, pixel_format=3, payload_bytes=0, chunks_bytes=0, width=1, depth=1)
    for content in (data[2:], zlib.compress(data[2:])):
        with contextlib.suppress(FormatError):
            read = Transparency.of(parsed, [container.Chunk(CHUNK_TRANSPARENCY, content, required=True)])
            assert read is not None
            mask = read.mask(slice(None), slice(None))
            assert mask.shape == size[::-1]
            again = Transparency.of(parsed, [to_chunk(mask)])
            assert again is not None and np.array_equal(again.mask(slice(None), slice(None)), mask)


def siren_payload(data: bytes) -> None:
    """6 bytes choose a network, the rest is its payload: decode it, then encode and decode it again."""
    if len(data) < 6:
        return
    width, depth, frequencies, channels, frequency_ratio, coding = data[:6]
    architecture = Architecture(
        width=1 + width % 40,
        depth=1 + depth % 4,
        channels=1 + channels % 5,
        frequencies=frequencies % 6,
        frequency_ratio=100 + frequency_ratio,
    )
    payload = data[6 : 6 + (len(data) - 6 & ~3)]
    try:
        tensors = list(weight_coding.decode_tensors(payload, architecture.shapes, coding & 1))
    except FormatError:
        return
    for tensor, shape in zip(tensors, architecture.shapes, strict=True):
        assert tensor.symbols.shape == shape and np.abs(tensor.symbols).max() <= 32767
        assert 0 <= tensor.step_index <= 255
    if zlib.crc32(data) % 8:  # choosing a writer's parameters takes long
        return
    again = weight_coding.decode_tensors(weight_coding.encode_tensors(tensors), architecture.shapes, 1)
    for tensor, other in zip(tensors, again, strict=True):
        assert tensor.step_index == other.step_index and np.array_equal(tensor.symbols, other.symbols)


def mosaic_payload(data: bytes) -> None:
    """8 bytes choose a mosaic, the rest is its payload: decode it, evaluate it, encode and decode it again."""
    if len(data) < 8:
        return
    columns, rows, networks, width, depth, taper, overlap, frequencies = data[:8]
    parsed = container.header(
        size=(1 + columns % 48, 1 + rows % 48),
        pixel_format=2,
        coding=container.CODING_MOSAIC,
        networks=1 + networks % 20,
        width=1 + width % 20,
        depth=1 + depth % 4,
        taper=1 + taper % 100,
        overlap=overlap % 6,
        frequencies=frequencies % 3,
        frequency_ratio=150 if frequencies % 3 else 100,
        payload_bytes=0,
        chunks_bytes=0,
    )
    payload = data[8 : 8 + (len(data) - 8 & ~3)]
    model, shapes = parsed.model, parsed.model.architecture(3).shapes
    try:
        parts, decoded = mosaic_coding.decode_networks(payload, parsed.size, model, shapes)
        tensors = list(decoded)
    except FormatError:
        return
    assert len(parts) == model.networks and len(tensors) == len(parts) * len(shapes)
    assert sum(math.prod(part.core.size) for part in parts) == math.prod(parsed.size)
    for tensor, shape in zip(tensors, len(parts) * list(shapes), strict=True):
        assert tensor.symbols.shape == shape and np.abs(tensor.symbols).max() <= 32767
        assert 0 <= tensor.step_index <= 255
    file = container.pack(container.changed(parsed, payload_bytes=len(payload)), payload)
    assert pillow_inr.decode(file).shape == parsed.shape
    if zlib.crc32(data) % 8:  # choosing a writer's parameters takes long
        return
    cores, splits = {part.core for part in parts}, []

    def is_split(region: Region) -> bool:
        splits.append(region not in cores)
        return splits[-1]

    assert divided(parsed.size, model.overlap, is_split) == parts
    each = [tensors[place : place + len(shapes)] for place in range(0, len(tensors), len(shapes))]
    _, again = mosaic_coding.decode_networks(mosaic_coding.encode_mosaic(splits, each), parsed.size, model, shapes)
    for tensor, other in zip(tensors, again, strict=True):
        assert tensor.step_index == other.step_index and np.array_equal(tensor.symbols, other.symbols)


def pyramid_payload(data: bytes) -> None:
    """4 bytes choose a pyramid, the rest is its stream: the kernel and NumPy decode it, and evaluate it."""
    if len(data) < 4:
        return
    columns, rows, networks, channels = data[:4]
    size, channels = (1 + columns % 20, 1 + rows % 20), 1 + channels % 5
    # The first sets of preset 0 keep their numbers, for the corpus has them.
    preset = networks >> 6 & 1
    base_index = networks % container.BASE_WEIGHTS_COUNTS[preset]
    stream = data[4 : 4 + (len(data) - 4 & ~3)]
    given = stream, preset, structure.base_weights(preset, base_index, channels), size
    found, expected = (_decoded(decode, given) for decode in (decoding.decode, latent_coding.decode))
    if expected is None or found is None:
        assert expected is found
        return
    for grid, other in zip(found.grids, expected.grids, strict=True):
        assert np.array_equal(grid, other)
        assert np.abs(other).max() <= 4095
    region = PixelRegion(0, size[1], 0, size[0])
    values = decoding.synthesize(found, size, channels, preset, region)
    assert values.shape == (size[1], size[0], channels)
    assert pyramid_synthesis.synthesize(*expected, size, channels, preset).shape == values.shape


def _decoded(decode: Callable[..., Pyramid], given: tuple[Any, ...]) -> Pyramid | None:
    try:
        return decode(*given)
    except FormatError:
        return None


def whole_file(data: bytes) -> None:
    """Bytes as a file without its checksum, in all public functions; only documented errors may be raised."""
    file = with_checksum(data)
    if too_expensive(file):
        return
    try:
        pixels = pillow_inr.decode(file)
    except FormatError:
        pixels = None
    try:
        with Image.open(io.BytesIO(file), formats=["INR"]) as image:
            image.verify()
        with Image.open(io.BytesIO(file), formats=["INR"]) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError):
        image = None
    if image is not None:
        assert pixels is not None
        assert image.size == pixels.shape[1::-1]
        if image.mode in container.MODES and pixels.dtype == np.uint8:
            assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    if pixels is not None:
        small = pillow_inr.decode(file, size=(1, 1))
        assert small.dtype == pixels.dtype


def salvaged_file(data: bytes) -> None:
    """Like `whole_file`, but Pillow is told to read files whose end is missing."""
    if too_expensive(data):
        return
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data), formats=["INR"]) as image:
            image.load()
    except (UnidentifiedImageError, OSError):
        pass
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def init_file(data: bytes) -> None:
    """Bytes as the .npz file of an initialization, which may lie in any folder that decoding searches."""
    with contextlib.suppress(ValueError):
        initialization.from_bytes(data)


def too_expensive(file: bytes) -> bool:
    """Whether decoding the file may take more than a fuzzer's execution should."""
    try:
        parsed, _ = container.read_header(file)
    except FormatError:
        return False
    if math.prod(parsed.size) * parsed.channels > PIXELS_MAX or max(parsed.size) > 300:
        return True
    if parsed.model.number != container.MODEL_SIREN:
        return False
    return parsed.model.networks * parsed.model.architecture(parsed.channels).weight_count > WEIGHTS_MAX


def with_checksum(data: bytes) -> bytes:
    """A file of these bytes."""
    return data + zlib.crc32(data).to_bytes(container.CRC_BYTES, "little")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "header": header,
    "file_parts": file_parts,
    "chunks": chunks,
    "transparent_pixels": transparent_pixels,
    "siren_payload": siren_payload,
    "mosaic_payload": mosaic_payload,
    "pyramid_payload": pyramid_payload,
    "whole_file": whole_file,
    "salvaged_file": salvaged_file,
    "init_file": init_file,
}
