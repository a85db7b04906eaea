"""The record that fixes a SIREN's function apart from its weights; standard library only."""

import math
from dataclasses import dataclass
from itertools import pairwise

# Frequency factor of every sine layer (Sitzmann et al. 2020, section 3.2).
W0 = 30.0


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Everything that fixes the network's function apart from its weights."""

    width: int
    """Units of each sine layer."""
    depth: int
    """Number of sine layers; a linear output layer follows."""
    channels: int
    """Samples per pixel."""
    frequencies: int
    """Fourier frequencies per axis; 0 for plain coordinates (COIN, Dupont et al. 2021)."""
    frequency_ratio: int
    """Ratio of successive frequencies in hundredths."""

    @property
    def axis_features(self) -> int:
        """Input features of one axis."""
        return 1 + 2 * self.frequencies

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all weight tensors in file order: kernel (inputs, outputs) and bias (outputs,) per layer."""
        units = [2 * self.axis_features, *[self.width] * self.depth, self.channels]
        return tuple(shape for rows, columns in pairwise(units) for shape in ((rows, columns), (columns,)))

    @property
    def weight_count(self) -> int:
        """Number of weights, biases included."""
        return sum(math.prod(shape) for shape in self.shapes)
