"""The architecture of a SIREN: all that fixes its function apart from the weights. Standard library only."""

import math
from dataclasses import dataclass
from itertools import pairwise

# The factor in sin(W0 (h K + b)) of every sine layer (Sitzmann et al. 2020, section 3.2).
W0 = 30.0
# The taper, in hundredths, of a network whose sine layers are all of one width.
TAPER_NONE = 100


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes and input encoding of a network.

    >>> kodak = Architecture(width=48, depth=4, channels=3, frequencies=16, frequency_ratio=140)
    >>> kodak.shapes[:2], kodak.weight_count
    (((66, 48), (48,)), 10419)
    """

    width: int
    """Units of the first sine layer, 1..1024."""
    depth: int
    """Number of sine layers, 1..15; a linear output layer follows."""
    channels: int
    """Samples per pixel, 1..64."""
    frequencies: int
    """Fourier frequencies per axis, 0..32; 0 for plain coordinates (COIN, Dupont et al. 2021)."""
    frequency_ratio: int
    """Ratio of successive frequencies in hundredths, 100..355; the lowest is pi."""
    taper: int = TAPER_NONE
    """Ratio of a sine layer's units to those of the layer before, in hundredths, 1..100."""

    @property
    def axis_features(self) -> int:
        """Input features of one axis."""
        return 1 + 2 * self.frequencies

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each sine layer: width (taper / 100)^l for l = 0..depth - 1, rounded half up, at least 1.

        >>> Architecture(width=64, depth=4, channels=3, frequencies=12, frequency_ratio=152, taper=75).widths
        (64, 48, 36, 27)
        """
        scaled = [(self.width * self.taper**layer, 100**layer) for layer in range(self.depth)]
        return tuple(max(1, (2 * units + one) // (2 * one)) for units, one in scaled)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all weight tensors in file order: kernel (inputs, outputs) and bias (outputs,) per layer."""
        units = [2 * self.axis_features, *self.widths, self.channels]
        return tuple(shape for rows, columns in pairwise(units) for shape in ((rows, columns), (columns,)))

    @property
    def weight_count(self) -> int:
        """Number of weights, biases included."""
        return sum(math.prod(shape) for shape in self.shapes)
