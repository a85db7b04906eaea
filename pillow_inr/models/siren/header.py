"""The header fields of a SIREN (docs/format.md section 2), and what they tell. Standard library only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...format.fields import FieldReader, check_field, pack_varint, unknown_field
from ...format.ranges import DEPTH_MAX, WIDTH_MAX
from .architecture import TAPER_NONE, Architecture
from .cost import evaluation_cost

if TYPE_CHECKING:
    from ...cost import Cost
    from ...format.header import Box, Header, Size

ENCODING_NONE = 0
ENCODING_FOURIER = 1
CODING_LAPLACE = 0
CODING_GENERALIZED_NORMAL = 1
CODING_MOSAIC = 2
NETWORKS_MAX = 1 << 20
OVERLAP_MAX = 64
FREQUENCIES_MAX = 32
FREQUENCY_RATIO_MIN = 100
FREQUENCY_RATIO_MAX = 355


@dataclass(frozen=True, kw_only=True)
class SirenHeader:
    """The shape of an image's networks, and how their weights are coded.

    Raises:
        FormatError: a field is outside its range.
    """

    number: ClassVar[int] = 0
    name: ClassVar[str] = "siren"
    needs_whole_file: ClassVar[bool] = True

    width: int
    """Units of the first sine layer, 1..1024."""
    depth: int
    """Number of sine layers, 1..15."""
    frequencies: int = 0
    """Fourier frequencies per axis, 1..32; 0 for plain coordinates."""
    frequency_ratio: int = FREQUENCY_RATIO_MIN
    """Ratio of successive frequencies in hundredths, 100..355; 100 for plain coordinates."""
    coding: int = CODING_GENERALIZED_NORMAL
    """CODING_LAPLACE, which early releases wrote, CODING_GENERALIZED_NORMAL or CODING_MOSAIC."""
    taper: int = TAPER_NONE
    """Ratio of a layer's units to those of the layer before, in hundredths, 1..100; 100 but for CODING_MOSAIC."""
    networks: int = 1
    """Number of networks that the image is divided among; 1 but for CODING_MOSAIC."""
    overlap: int = 0
    """Pixels by which a network's region extends beyond each edge that it shares, 0..64; 0 but for CODING_MOSAIC."""

    def __post_init__(self) -> None:
        check_field("frequencies", self.frequencies, 0, FREQUENCIES_MAX)
        highest = FREQUENCY_RATIO_MAX if self.frequencies else FREQUENCY_RATIO_MIN
        check_field("growth", self.frequency_ratio, FREQUENCY_RATIO_MIN, highest)
        check_field("width", self.width, 1, WIDTH_MAX)
        check_field("depth", self.depth, 1, DEPTH_MAX)
        check_field("coding", self.coding, CODING_LAPLACE, CODING_MOSAIC)
        mosaic = self.coding == CODING_MOSAIC
        check_field("taper", self.taper, 1 if mosaic else TAPER_NONE, TAPER_NONE)
        check_field("networks", self.networks, 1, NETWORKS_MAX if mosaic else 1)
        check_field("overlap", self.overlap, 0, OVERLAP_MAX if mosaic else 0)

    @property
    def label(self) -> str:
        """Width and depth, such as "64×5", and how many of them if there are several, such as "6 of 64×5"."""
        shape = f"{self.width}×{self.depth}"
        return shape if self.networks == 1 else f"{self.networks} of {shape}"

    @property
    def encoding(self) -> int:
        """ENCODING_NONE or ENCODING_FOURIER."""
        return ENCODING_FOURIER if self.frequencies else ENCODING_NONE

    def architecture(self, channels: int) -> Architecture:
        """The network for images of this many channels."""
        return Architecture(
            width=self.width,
            depth=self.depth,
            channels=channels,
            frequencies=self.frequencies,
            frequency_ratio=self.frequency_ratio,
            taper=self.taper,
        )

    def pack(self) -> bytes:
        """Write the fields as bytes."""
        fourier = bytes([self.frequencies, self.frequency_ratio - FREQUENCY_RATIO_MIN]) if self.frequencies else b""
        shape = bytes([self.encoding]) + fourier + pack_varint(self.width) + bytes([self.depth, self.coding])
        if self.coding != CODING_MOSAIC:
            return shape
        return shape + bytes([self.taper]) + pack_varint(self.networks) + bytes([self.overlap])

    def check_size(self, size: "Size") -> None:
        """Accept every size."""

    def info(self, channels: int) -> dict[str, Any]:
        """What `Image.info` tells of the model."""
        return {
            "model": self.name,
            "width": self.width,
            "depth": self.depth,
            "encoding": "fourier" if self.frequencies else "none",
            "weights": self.networks * self.architecture(channels).weight_count,
            **({"networks": self.networks} if self.networks > 1 else {}),
        }

    def cost(self, header: "Header[SirenHeader]", size: "Size", box: "Box") -> "Cost":
        """Upper bounds of evaluating a region at a size, one point a pixel."""
        architecture = self.architecture(header.channels)
        dtype, payload_bytes = header.dtype, header.payload_bytes
        return evaluation_cost(architecture, dtype, payload_bytes, size, size, self.networks, self.overlap)

    def opening_cost(self, header: "Header[SirenHeader]", size: "Size") -> "Cost":
        """The same: a few bytes may hold millions of weights, so that all must be known before they are decoded."""
        return self.cost(header, size, (0, 0, *header.size))


def read(reader: FieldReader) -> SirenHeader:
    """Read the fields of a SIREN.

    Raises:
        FormatError: a field is outside its range.
        UnsupportedFileError: only a newer release knows the coding.
    """
    encoding = reader.byte("encoding")
    check_field("encoding", encoding, ENCODING_NONE, ENCODING_FOURIER)
    frequencies, ratio = 0, FREQUENCY_RATIO_MIN
    if encoding == ENCODING_FOURIER:
        frequencies = reader.byte("frequencies")
        ratio = FREQUENCY_RATIO_MIN + reader.byte("growth")
        check_field("frequencies", frequencies, 1, FREQUENCIES_MAX)
    width, depth, coding = reader.varint("width"), reader.byte("depth"), reader.byte("coding")
    if coding > CODING_MOSAIC:
        raise unknown_field("coding", coding, f"0 to {CODING_MOSAIC}")
    taper, networks, overlap = TAPER_NONE, 1, 0
    if coding == CODING_MOSAIC:
        taper, networks, overlap = reader.byte("taper"), reader.varint("networks"), reader.byte("overlap")
    return SirenHeader(
        width=width,
        depth=depth,
        frequencies=frequencies,
        frequency_ratio=ratio,
        coding=coding,
        taper=taper,
        networks=networks,
        overlap=overlap,
    )
