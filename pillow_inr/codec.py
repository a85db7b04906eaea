"""Pixels -> the bytes of an .inr file: fit, quantize, code, measure, pack. The way back is `decoding`."""

import math
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import container, entropy, initialization, metrics, normal_form, quantization, samples
from .architecture import Architecture
from .config import QUALITY_WIDTHS, EncodeOptions, Plan, make_plan, plan_for_weights, usual_weights
from .decoding import WORK_MAX, read_network, references_of
from .errors import BackendError
from .initialization import Initialization
from .metadata import Metadata, psnr_chunk
from .pixels import Axis
from .progress import bar
from .samples import Samples, Scale
from .siren import Grid

if TYPE_CHECKING:
    from .training import Fitted

# Pixels on which a file's PSNR is measured at most: that of a larger image comes from every n-th row and column.
PSNR_PIXELS = 1 << 19
# What of a time limit is kept for that: multiplications a second of one slow core or several.
PSNR_SPEED = 3e10
# The search for a PSNR: how many fits it may take, how far above the goal is near enough, what twice the weights bring
# on photographs, and how far one fit may lead away from the next.
PSNR_FITS = 4
PSNR_TOLERANCE = 0.25
DB_PER_DOUBLING = 2.3
PSNR_DOUBLINGS_MAX = 3.0


def encode(array: NDArray[np.generic], options: EncodeOptions, metadata: Metadata | None = None) -> bytes:
    """Fit a network to an image and pack it into an .inr file.

    Args:
        array: uint8, uint16 or float32, shape (height, width) or (height, width, 1..64 channels); uint8 of two to
            four channels is grey and alpha, RGB, RGBA. float16 and float64 become float32, truth values 0 and 255.
        metadata: to be stored beside the image.
    Returns:
        The whole file.
    Raises:
        ValueError: the array is not such an image, or holds infinities or NaN.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    """
    image = _Image.of(samples.as_samples(array), metadata or Metadata())
    deadline = None if options.time_limit is None else time.perf_counter() + options.time_limit
    if options.psnr is not None:
        return _encode_to_psnr(image, options, options.psnr, deadline)
    return _encode_plan(image, make_plan(options, image.size, image.channels), options, deadline).data


@dataclass(frozen=True)
class _Image:
    """What is to be stored."""

    samples: Samples
    """Shape (height, width, channels)."""
    pixel_format: int
    sample_format: container.SampleFormat | None
    metadata: Metadata

    @classmethod
    def of(cls, array: Samples, metadata: Metadata) -> "_Image":
        pixel_format, sample_format = samples.format_of(array)
        return cls(array.reshape(*array.shape[:2], -1), pixel_format, sample_format, metadata)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return int(self.samples.shape[2])

    def header(self, plan: Plan, payload_bytes: int = 0, chunks_bytes: int = 0) -> container.Header:
        """The header of this image's file."""
        return container.Header(
            size=self.size,
            pixel_format=self.pixel_format,
            samples=self.sample_format,
            encoding=container.ENCODING_FOURIER if plan.frequencies else container.ENCODING_NONE,
            frequencies=plan.frequencies,
            growth=plan.growth,
            width=plan.width,
            depth=plan.depth,
            payload_bytes=payload_bytes,
            chunks_bytes=chunks_bytes,
        )

    def psnr_db(self, data: bytes) -> float:
        """PSNR of a file against this image, relative to the range of the samples."""
        width, height = self.size
        every = math.ceil(math.sqrt(width * height / PSNR_PIXELS))
        across, down = (Axis.of_pixels(length, max(self.size)).every(every) for length in self.size)
        network = read_network(data)
        decoded = network.evaluate(Grid(across, down))
        to_values = Scale.of(network.header).to_values
        return metrics.psnr_db(metrics.mse(self.samples[::every, ::every], decoded, to_values))


class _Encoded(NamedTuple):
    """One fit, packed."""

    data: bytes
    weights: float
    """Number of the network's weights."""
    psnr_db: float


def _encode_to_psnr(image: _Image, options: EncodeOptions, goal: float, deadline: float | None) -> bytes:
    """The smallest of a few files whose PSNR reaches the goal; else the best, and a warning."""
    below: _Encoded | None = None
    above: _Encoded | None = None
    weights = usual_weights(math.prod(image.size), image.channels)
    widths: set[int] = set()
    for left in range(PSNR_FITS, 0, -1):
        plan = plan_for_weights(options, image.size, image.channels, weights)
        # Widths are few. One that missed the goal by little comes up again: the next one then.
        most = above.weights if above else math.inf
        while plan.width in widths and plan.weights < most and plan.width < QUALITY_WIDTHS[1]:
            weights *= 1.1
            plan = plan_for_weights(options, image.size, image.channels, weights)
        if plan.width in widths:
            break
        widths.add(plan.width)
        now = time.perf_counter()
        trial = _encode_plan(image, plan, options, None if deadline is None else now + (deadline - now) / left)
        if trial.psnr_db < goal:
            below = trial if below is None or trial.psnr_db > below.psnr_db else below
        else:
            above = trial if above is None or len(trial.data) < len(above.data) else above
            if trial.psnr_db < goal + PSNR_TOLERANCE:
                break
        weights = _next_weights(below, above, goal + PSNR_TOLERANCE / 2)
    best = above or below
    assert best is not None
    if above is None:
        warnings.warn(f"psnr={goal:g} dB was not reached: the file has {best.psnr_db:.2f} dB", stacklevel=2)
    return best.data


def _next_weights(below: _Encoded | None, above: _Encoded | None, goal: float) -> float:
    """Weights at which the PSNR should meet the goal: on the line in log(weights) through the trials beside it."""
    if below is not None and above is not None:
        share = (goal - below.psnr_db) / (above.psnr_db - below.psnr_db)
        return float(below.weights * (above.weights / below.weights) ** min(max(share, 0.1), 0.9))
    trial = below or above
    assert trial is not None
    doublings = (goal - trial.psnr_db) / DB_PER_DOUBLING
    return float(trial.weights * 2 ** min(max(doublings, -PSNR_DOUBLINGS_MAX), PSNR_DOUBLINGS_MAX))


def _encode_plan(image: _Image, plan: Plan, options: EncodeOptions, deadline: float | None) -> _Encoded:
    """Fit the network of a plan and pack it."""
    header = image.header(plan)
    architecture = Architecture.of(header)
    width, height = image.size
    if architecture.weight_count * width * height > WORK_MAX:
        raise ValueError(f"a network of {plan.width}x{plan.depth} is too large for an image of {width}x{height} pixels")
    if deadline is not None:
        deadline -= architecture.weight_count * min(width * height, PSNR_PIXELS) / PSNR_SPEED
    init = options.init if isinstance(options.init, Initialization) else None
    fitting = _fitting()
    overhead_bytes = _frame_bytes(image, plan, init)
    budget = None
    if plan.budget_bytes is not None:
        room = plan.budget_bytes - overhead_bytes
        least = len(_coded(_blank(fitting, architecture), coarser=quantization.STEP_INDEX_MAX))
        if room < least:
            raise ValueError(_too_small(image, overhead_bytes + least, plan.budget_bytes))
        budget = fitting.Budget(room, lambda fitted: len(_coded(fitted, init)))
    progress = bar("fitting") if options.progress is True else nullcontext(options.progress or None)
    with progress as report:
        fitted = fitting.fit(
            image.samples,
            architecture,
            scale=Scale.of(header),
            steps=plan.steps,
            rate_weight=plan.rate_weight,
            seed=options.seed,
            deadline=deadline,
            initial=init.weights if init else None,
            device=options.device,
            overhead_bytes=overhead_bytes + entropy.side_information_bytes(architecture.shapes),
            budget=budget,
            report=report,
        )
    payload = _coded(fitted, init) if budget is None else _coded_within(fitted, init, budget.bytes)
    chunks = _chunks(init, fitted.differences)
    psnr_db = image.psnr_db(_pack(image, plan, payload, chunks))
    data = _pack(image, plan, payload, [*chunks, *image.metadata.to_chunks(), psnr_chunk(psnr_db)])
    return _Encoded(data, plan.weights, psnr_db)


def _pack(image: _Image, plan: Plan, payload: bytes, chunks: Sequence[container.Chunk]) -> bytes:
    packed = container.pack_chunks(chunks)
    return container.pack(image.header(plan, len(payload), len(packed)), payload, packed)


def _chunks(init: Initialization | None, differences: Sequence[bool]) -> list[container.Chunk]:
    """The chunk of an initialization; a file none of whose tensors is differences does not need one."""
    if init is None or not any(differences):
        return []
    data = initialization.pack_reference(init.identity, differences)
    return [container.Chunk(container.CHUNK_INITIALIZATION, data, required=True)]


def _frame_bytes(image: _Image, plan: Plan, init: Initialization | None) -> int:
    """What a file of the plan holds beside its payload, at most."""
    longest = (plan.budget_bytes or container.PART_BYTES_MAX) // 4 * 4
    chunks = _chunks(init, [True] * len(init.weights)) if init else []
    return len(_pack(image, plan, b"", [*chunks, *image.metadata.to_chunks(), psnr_chunk(0.0)])) + (
        len(container.pack_varint(longest)) - 1
    )


def _too_small(image: _Image, least: int, budget: int) -> str:
    """What to say of a budget that nothing fits into."""
    metadata = len(container.pack_chunks(image.metadata.to_chunks()))
    hint = f", {metadata} of them metadata (exif=None and so on leave it out)" if metadata else ""
    return f"this image takes at least {least} bytes{hint}, got a target of {budget}"


def _coded(fitted: "Fitted", init: Initialization | None = None, rounding: float = 0.5, coarser: int = 0) -> bytes:
    """Quantize and code a network.

    Args:
        rounding: fraction of a step from which a weight's magnitude is rounded up.
        coarser: by how much step indices are raised.
    """
    steps = [quantization.step_index(step) + coarser for step in fitted.steps]
    indices = [min(index, quantization.STEP_INDEX_MAX) for index in steps]
    references = references_of(init, fitted.differences)
    symbols = [
        quantization.quantize(weights - reference, quantization.step_size(index), rounding)
        for weights, reference, index in zip(fitted.weights, references, indices, strict=True)
    ]
    # Differences hold for a unit of the initialization at its own place and sign.
    if not any(fitted.differences):
        symbols = normal_form.normalize(symbols)
    return entropy.encode_tensors(list(map(entropy.CodedTensor, symbols, indices)))


def _coded_within(fitted: "Fitted", init: Initialization | None, limit: int) -> bytes:
    """The same in at most `limit` bytes, as near to what was trained as that allows."""
    # A network is trained for its steps: other ones cost a dB. So what is too long by a percent rounds more weights
    # towards zero first.
    shrinking = ((rounding / 100, 0) for rounding in range(50, 100, 2))
    coarsening = ((1.0, coarser) for coarser in range(quantization.STEP_INDEX_MAX + 1))
    codings = (_coded(fitted, init, *change) for change in chain(shrinking, coarsening))
    return next(payload for payload in codings if len(payload) <= limit)


def _blank(fitting: ModuleType, architecture: Architecture) -> "Fitted":
    """A network of zeros, the shortest there is."""
    weights = [np.zeros(shape, np.float32) for shape in architecture.shapes]
    blank: Fitted = fitting.Fitted(weights, [1.0] * len(weights), 0.0, 0.0, [False] * len(weights))
    return blank


def _fitting() -> ModuleType:
    try:
        from . import fit
    except ImportError as error:
        raise BackendError(
            f"fitting a network needs Keras on TensorFlow, which cannot be imported here: {error}"
        ) from error
    return fit
