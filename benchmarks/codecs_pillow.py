"""The classical codecs that rate-distortion is measured against, all through Pillow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A file format with fixed arguments and one that sweeps the rate."""

    name: str
    """On the command line and in the CSV."""
    label: str
    """In tables and the plot."""
    format: str
    """Pillow's name of the file format."""
    fixed: Mapping[str, Any]
    swept: str
    values: Sequence[float]
    listed: bool = field(default=False)
    """The swept argument takes a list of one."""

    def settings(self) -> list[tuple[str, dict[str, Any]]]:
        """Each setting's name and its keywords for `Image.save`."""
        return [
            (f"{self.swept}={value:g}", {**self.fixed, self.swept: [value] if self.listed else value})
            for value in self.values
        ]


# The values give means of 22 to 34 dB and more on photographs; below, WebP and AVIF's default have no settings.
# One thread for AVIF: with more, libavif splits the picture by the machine's cores, and the bytes depend on them.
CODECS = (
    Codec(
        name="jpeg",
        label="JPEG 4:2:0",
        format="JPEG",
        fixed={"optimize": True, "subsampling": "4:2:0"},
        swept="quality",
        values=(1, 3, 5, 7, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 85, 90),
    ),
    Codec(
        name="jpeg2000",
        label="JPEG 2000 9/7",
        format="JPEG2000",
        # Pillow's defaults, the reversible wavelet without a colour transform, take twice the bytes.
        fixed={"irreversible": True, "mct": 1, "quality_mode": "rates"},
        swept="quality_layers",
        values=(480, 320, 240, 160, 120, 80, 60, 48, 36, 30, 24, 19, 16, 12, 9),
        listed=True,
    ),
    Codec(
        name="webp",
        label="WebP m6",
        format="WEBP",
        fixed={"method": 6},
        swept="quality",
        values=(0, 2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90),
    ),
    Codec(
        name="avif",
        label="AVIF default",
        format="AVIF",
        fixed={"max_threads": 1},
        swept="quality",
        values=(0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80),
    ),
    Codec(
        name="avif-psnr",
        label="AVIF 4:4:4 psnr s2",
        format="AVIF",
        fixed={"speed": 2, "subsampling": "4:4:4", "advanced": {"tune": "psnr"}, "max_threads": 1},
        swept="quality",
        values=(0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70),
    ),
)
