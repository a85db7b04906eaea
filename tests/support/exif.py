"""EXIF data made byte by byte, with tags that Pillow would not write."""

import struct
from collections.abc import Mapping, Sequence

# A tag: its number, its type, its number of values, and their bytes.
Tag = tuple[int, int, int, bytes]
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def text(tag: int, value: bytes) -> Tag:
    """A tag that is a text."""
    return tag, 2, len(value) + 1, value + b"\0"


def short(tag: int, *values: int, order: str = "<") -> Tag:
    """A tag of integers of 16 bits."""
    return tag, 3, len(values), struct.pack(f"{order}{len(values)}H", *values)


def exif_data(
    tags: Sequence[Tag], below: Mapping[int, Sequence[Tag]] | None = None, thumbnail: bytes = b"", order: str = "<"
) -> bytes:
    """EXIF data without a prefix.

    Args:
        tags: of the main directory.
        below: tags of further directories, by the tag that points to each.
        thumbnail: a JPEG file, to which a second directory points.
        order: "<" or ">".
    """
    body = bytearray((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8))
    below = below or {}
    pointers: list[Tag] = [(tag, 4, 1, bytes(4)) for tag in below]
    main = sorted([*tags, *pointers])
    places, link = _append(body, main, order)
    for tag, inner in below.items():
        struct.pack_into(f"{order}I", body, places[tag], len(body))
        _append(body, sorted(inner), order)
    if thumbnail:
        struct.pack_into(f"{order}I", body, link, len(body))
        entries: list[Tag] = [(513, 4, 1, bytes(4)), (514, 4, 1, struct.pack(f"{order}I", len(thumbnail)))]
        places, _ = _append(body, entries, order)
        struct.pack_into(f"{order}I", body, places[513], len(body))
        body += thumbnail
    return bytes(body)


def _append(body: bytearray, tags: Sequence[Tag], order: str) -> tuple[dict[int, int], int]:
    """Append a directory; returns where the value of each tag stands, and where the link to the next one does."""
    start = len(body)
    link = start + 2 + 12 * len(tags)
    values = bytearray()
    body += struct.pack(f"{order}H", len(tags))
    places = {}
    for tag, kind, count, data in tags:
        body += struct.pack(f"{order}HHI", tag, kind, count)
        places[tag] = len(body)
        if len(data) > 4:
            body += struct.pack(f"{order}I", link + 4 + len(values))
            values += data + bytes(len(data) % 2)
        else:
            body += data.ljust(4, b"\0")
    body += bytes(4) + values
    return places, link
