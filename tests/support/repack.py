"""Pack files again from what the second decoder read. The bytes must be equal, whatever choices the writer made."""

from collections.abc import Iterable
from itertools import groupby

import numpy as np

from pillow_inr.entropy.distributions import generalized_normal, onesided, uniform
from pillow_inr.entropy.range_coder import Encoder
from pillow_inr.models.pyramid import frequency_tables
from pillow_inr.models.pyramid.tiles import pack_streams
from tests.support import container, plain_decoder, plain_pyramid

Decoded = Iterable[tuple[str | int, ...]]


def stream(decoded: Decoded) -> bytes:
    """Code the symbols that `plain_decoder.RangeDecoder.decoded` lists."""
    encoder = Encoder()
    for table, run in groupby(decoded, lambda entry: entry[0] if entry[0] == "bin" else entry[:-1]):
        entries = np.array([entry[1:] for entry in run], np.int64)
        symbols = entries[:, -1].astype(np.int32)
        if table == "bin":
            scale, fraction = entries[:, 0] - frequency_tables.SCALE_MIN, entries[:, 1] - frequency_tables.FRACTION_MIN
            encoder.encode_rows(symbols, frequency_tables.frequencies()[scale * frequency_tables.FRACTIONS + fraction])
            continue
        name, *numbers = table
        if name == "shape":
            h, j, m = numbers
            model = generalized_normal(j, m, h)
        else:
            model = uniform(*numbers) if name == "equal" else onesided(*numbers)
        encoder.encode(symbols + np.int32(model.lowest), model)
    return encoder.to_bytes()


def siren(data: bytes, decoded: plain_decoder.Decoded) -> bytes:
    """The file, packed again."""
    header, _, chunks = container.unpack(data)
    return container.pack(header, stream(decoded.decoded), container.pack_chunks(chunks))


def pyramid(data: bytes, decoded: plain_pyramid.Decoded) -> bytes:
    """The file, packed again."""
    header, _, chunks = container.unpack(data)
    streams = [stream(tile.decoded) for tile in decoded.pyramids]
    return container.pack(header, pack_streams(header.model, streams), container.pack_chunks(chunks))
