"""What reading a file may cost before it is refused. Each may be changed, for the whole process, by assigning to it:

    pillow_inr.limits.WORK_MAX = 10**15

What a file asks for is known from its header (`cost`), and compared with these before memory or time is spent. The
defaults leave room for everything that `quality` writes and Pillow opens, on machines that people have. How many pixels
an image may have is Pillow's to say: `PIL.Image.MAX_IMAGE_PIXELS`.
"""

WORK_MAX = 2 * 10**13
"""Multiplications, or what takes as long, of one evaluation: five to ten minutes of four cores. A 50-megapixel image
with the largest network that `quality` chooses takes half of it, a pyramid of as many pixels a hundredth."""

MEMORY_MAX = 1 << 32
"""Bytes that one evaluation may take, its result included: 4 GiB. Twice Pillow's limit of pixels in four channels of
floating point take 3 GB."""

METADATA_MAX = 1 << 26
"""Bytes of EXIF, ICC profile, XMP and comment together, unpacked: bombs of 1 GiB would otherwise open from a
file of 1 MB. docs/format.md section 8 allows a file no more than the default."""

SYMBOLS_PER_BYTE = 1 << 14
"""Symbols for each byte of a stream beyond the first 36, which is taken to have 40 at least. A symbol that is all but
certain takes a millionth of a bit: a few bytes may stand for millions, whose decoding takes seconds before anything is
seen to be wrong. No fit comes near: the emptiest pyramids have 1,000 symbols a byte."""
