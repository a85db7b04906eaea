"""Ranges of docs/format.md that more than one room checks. Standard library only."""

# Sides above 2^24 - 1 would give neighbouring pixels the same float32 coordinate.
SIDE_MAX = (1 << 24) - 1
CHANNELS_MAX = 64
# Lengths of payload and chunks stay below 1 GiB.
PART_BYTES_MAX = (1 << 30) - 1
# A SIREN's units per sine layer, and its sine layers.
WIDTH_MAX = 1024
DEPTH_MAX = 15
