"""Limits on what reading a file may cost. Assign to one of them to change it for the whole process:

    pillow_inr.limits.WORK_MAX = 10**15

A file's header tells its cost (`pillow_inr.cost`), which is compared with these limits before memory or time is spent.
The defaults allow everything that `quality` writes and Pillow opens. Pillow itself limits the number of pixels:
`PIL.Image.MAX_IMAGE_PIXELS`.
"""

WORK_MAX = 2 * 10**13
"""Multiplications per evaluation, or operations that take as long: five to ten minutes on four cores. A 50-megapixel
image with the largest network that `quality` chooses takes half of it; as a pyramid it takes a hundredth."""

MEMORY_MAX = 1 << 32
"""Bytes of memory per evaluation, including its result: 4 GiB. An image of four floating-point channels with twice as
many pixels as Pillow's limit takes 3 GB."""

METADATA_MAX = 1 << 26
"""Bytes of EXIF data, ICC profile, XMP packet and comment together, decompressed. Without a limit, a file of 1 MB could
expand to 1 GiB. docs/format.md section 8 allows a file no more than the default. The same limit holds for the chunk of
transparent pixels alone."""

SYMBOLS_PER_BYTE = 1 << 14
"""Symbols allowed per payload byte, counting max(4, bytes - 36). A nearly certain symbol takes a millionth of a bit, so
a few bytes can claim millions of symbols, which take seconds to decode before an error shows. Fits stay far below:
nearly empty pyramids have 1,000 symbols per byte."""
