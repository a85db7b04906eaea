"""What all models have in common: the protocols through which everything outside `models` treats them.

A model's header fields are a `format.header.ModelHeader`. Its `model` module has a `ModelFormat`, its `encoder` module
an `Encoder`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..encoding.deadline import Deadline
from ..encoding.source_image import DecodedModel, Encoded, SourceImage
from ..format.chunks import Chunk
from ..format.file import File
from ..format.header import Box, Header, ModelHeader, Size
from ..options import EncodeOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..imaging.samples import Samples


class StoredModel(DecodedModel, Protocol):
    """A model in a file, ready to be evaluated."""

    @property
    def header(self) -> Header[Any]:
        """The file's header."""

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The file's chunks."""

    def pixels(self, size: Size | None = None, box: Box | None = None) -> "Samples":
        """Evaluate a region of the image at a resolution.

        Args:
            size: width and height of the result; by default one pixel for each of the image's in the box.
            box: left, upper, right and lower edge of the region in pixels of the image, fractions too; by default all.
        Returns:
            Shape (height, width, channels), of the file's sample type.
        Raises:
            ValueError: the size is not two positive integers, or the box is empty or not within the image.
            FormatError: what must be decoded for it is damaged.
            LimitError: it takes more than `limits` allow.
        """

    def sampled_mse(self, source: SourceImage) -> float:
        """Mean squared error against the source, normalized samples.

        Over the whole image; a model for which that is too dear may take every n-th row and column of a large one.
        """

    def preview(self) -> "StoredModel | None":
        """A smaller and coarser version of the whole image that the file has for thumbnails; None if it has none.

        Raises:
            FormatError: it is damaged.
        """

    def to_keras(self) -> Any:
        """The model as a Keras model from positions to colours; raises ValueError if it is no function of position."""


class ModelFormat(Protocol):
    """How a model's files are opened."""

    def open(self, file: File[Any]) -> StoredModel:
        """Decode as much of a file as all evaluations need.

        Raises:
            FormatError: payload or chunks are damaged.
            LimitError: decoding them takes more than `limits` allow.
            MissingInitializationError: the file's reference weights are not known here.
        """

    def open_truncated(self, header: Header[Any], payload: bytes) -> StoredModel:
        """Open what is there of a payload whose end is missing.

        Raises:
            FormatError: what is there is damaged.
            DamagedFileError: it is too little to show anything.
        """

    def breakdown(self, file: File[Any]) -> "Breakdown":
        """Where the payload's bits are.

        Raises:
            FormatError: the payload is damaged.
            LimitError: decoding it takes more than `limits` allow.
        """


class EncodeJob(NamedTuple):
    """What an encoder is asked for."""

    source: SourceImage
    options: EncodeOptions
    deadline: Deadline


class Encoder(Protocol):
    """How a model's files are made."""

    def __call__(self, job: EncodeJob) -> Encoded:
        """Fit the model and pack it.

        Raises:
            BudgetError: no file is as short as the options ask for.
            ValueError: the options ask for what this image cannot have.
            BackendError: TensorFlow is missing or not usable.
            FitError: the fit diverged.
        """


@dataclass(frozen=True)
class Row:
    """A part of a payload: a layer, a grid, or what is left."""

    label: str
    """Name in a table."""
    columns: tuple[str, ...]
    """Cells of the table between the name and the bits, as `Breakdown.headings` names them."""
    bits: float
    """What it takes in the payload; the rows' sum is the payload's length."""
    elements: int = 0
    """Number of weights or cells; 0 for what has none."""
    share_label: str = ""
    """Name below a bar."""
    histogram: "Histogram | None" = None


class Histogram(NamedTuple):
    """Symbols of which a histogram is drawn."""

    title: str
    axis: str
    """Text below the axis."""
    symbols: "NDArray[np.int32]"


@dataclass(frozen=True)
class Breakdown:
    """Where a payload's bits are, and what else the model tells about itself."""

    part: str
    """Name of the payload among the parts of the file."""
    lines: Sequence[tuple[str, str]]
    """Facts for a listing: name and text."""
    headings: tuple[str, ...]
    """Of `Row.columns`; the first of all heads the labels, the last is "bits per element"."""
    rows: Sequence[Row]
    element: str
    """What elements are, in one word: "weight" or "cell"."""
    histograms_title: str
    json: dict[str, Any]
    """Everything, for `info --json`."""


__all__ = [
    "Breakdown",
    "EncodeJob",
    "Encoder",
    "Histogram",
    "ModelFormat",
    "ModelHeader",
    "Row",
    "StoredModel",
]
