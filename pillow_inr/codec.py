"""Pixels <-> the bytes of an .inr file: fit, quantize, code, pack; and the way back, without TensorFlow."""

import math
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import container, entropy, initialization, metrics, normal_form, quantization, siren
from .architecture import Architecture
from .config import QUALITY_WIDTHS, WEIGHTS_PER_PIXEL, EncodeOptions, Plan, make_plan, plan_for_weights
from .errors import BackendError, FormatError
from .initialization import Initialization
from .progress import bar

if TYPE_CHECKING:
    from .training import Fitted

# Multiplications that decoding a file may take: some twenty minutes of four cores. A 50-megapixel image with the
# largest network that `quality` chooses takes a tenth of it.
WORK_MAX = 10**14
# The search for a PSNR: how many fits it may take, how far above the goal is near enough, what twice the weights bring
# on photographs, and how far one fit may lead away from the next.
PSNR_FITS = 4
PSNR_TOLERANCE = 0.25
DB_PER_DOUBLING = 2.3
PSNR_DOUBLINGS_MAX = 3.0


def encode(image: NDArray[np.uint8], options: EncodeOptions) -> bytes:
    """Fit a network to an image and pack it into an .inr file.

    Args:
        image: uint8, shape (height, width, channels) with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels.
    Returns:
        The whole file.
    Raises:
        ValueError: the array is not such an image.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    """
    _check_image(image)
    deadline = None if options.time_limit is None else time.perf_counter() + options.time_limit
    if options.psnr is not None:
        return _encode_to_psnr(image, options, options.psnr, deadline)
    height, width, channels = image.shape
    return _encode_plan(image, make_plan(options, (width, height), channels), options, deadline)


class _Trial(NamedTuple):
    """One fit of the search for a PSNR."""

    weights: float
    psnr_db: float
    data: bytes


def _encode_to_psnr(image: NDArray[np.uint8], options: EncodeOptions, goal: float, deadline: float | None) -> bytes:
    """The smallest of a few files whose PSNR reaches the goal; else the best, and a warning."""
    height, width, channels = image.shape
    below: _Trial | None = None
    above: _Trial | None = None
    weights = WEIGHTS_PER_PIXEL * width * height
    widths: set[int] = set()
    for left in range(PSNR_FITS, 0, -1):
        plan = plan_for_weights(options, (width, height), channels, weights)
        # Widths are few. One that missed the goal by little comes up again: the next one then.
        most = above.weights if above else math.inf
        while plan.width in widths and plan.weights < most and plan.width < QUALITY_WIDTHS[1]:
            weights *= 1.1
            plan = plan_for_weights(options, (width, height), channels, weights)
        if plan.width in widths:
            break
        widths.add(plan.width)
        now = time.perf_counter()
        data = _encode_plan(image, plan, options, None if deadline is None else now + (deadline - now) / left)
        trial = _Trial(plan.weights, metrics.psnr_db(metrics.mse(image, decode(data)), peak=255.0), data)
        if trial.psnr_db < goal:
            below = trial if below is None or trial.psnr_db > below.psnr_db else below
        else:
            above = trial if above is None or len(data) < len(above.data) else above
            if trial.psnr_db < goal + PSNR_TOLERANCE:
                break
        weights = _next_weights(below, above, goal + PSNR_TOLERANCE / 2)
    best = above or below
    assert best is not None
    if above is None:
        warnings.warn(f"psnr={goal:g} dB was not reached: the file has {best.psnr_db:.2f} dB", stacklevel=2)
    return best.data


def _next_weights(below: _Trial | None, above: _Trial | None, goal: float) -> float:
    """Weights at which the PSNR should meet the goal: on the line in log(weights) through the trials beside it."""
    if below is not None and above is not None:
        share = (goal - below.psnr_db) / (above.psnr_db - below.psnr_db)
        return float(below.weights * (above.weights / below.weights) ** min(max(share, 0.1), 0.9))
    trial = below or above
    assert trial is not None
    doublings = (goal - trial.psnr_db) / DB_PER_DOUBLING
    return float(trial.weights * 2 ** min(max(doublings, -PSNR_DOUBLINGS_MAX), PSNR_DOUBLINGS_MAX))


def _encode_plan(image: NDArray[np.uint8], plan: Plan, options: EncodeOptions, deadline: float | None) -> bytes:
    """Fit the network of a plan and pack it."""
    height, width, channels = image.shape
    header = _header(plan, (width, height), channels)
    architecture = Architecture.of(header)
    if architecture.weight_count * width * height > WORK_MAX:
        raise ValueError(f"a network of {plan.width}x{plan.depth} is too large for an image of {width}x{height} pixels")
    init = options.init if isinstance(options.init, Initialization) else None
    fitting = _fitting()
    budget = None
    if plan.budget_bytes is not None:
        room = plan.budget_bytes - _frame_bytes(plan, (width, height), channels, init)
        least = len(_coded(_blank(fitting, architecture), coarser=quantization.STEP_INDEX_MAX))
        if room < least:
            needed = plan.budget_bytes - room + least
            raise ValueError(f"this image takes at least {needed} bytes, got a target of {plan.budget_bytes}")
        budget = fitting.Budget(room, lambda fitted: len(_coded(fitted, init)))
    progress = bar("fitting") if options.progress is True else nullcontext(options.progress or None)
    with progress as report:
        fitted = fitting.fit(
            image,
            architecture,
            steps=plan.steps,
            rate_weight=plan.rate_weight,
            seed=options.seed,
            deadline=deadline,
            initial=init.weights if init else None,
            device=options.device,
            overhead_bytes=header.file_bytes + entropy.side_information_bytes(architecture.shapes),
            budget=budget,
            report=report,
        )
    payload = _coded(fitted, init) if budget is None else _coded_within(fitted, init, budget.bytes)
    chunks = _chunks(init, fitted.differences)
    return container.pack(_header(plan, (width, height), channels, len(payload), len(chunks)), payload, chunks)


def _references(init: Initialization | None, differences: Sequence[bool]) -> list[NDArray[np.float32] | np.float32]:
    """What is added to each tensor's dequantized symbols."""
    return [init.weights[index] if init and chosen else np.float32(0) for index, chosen in enumerate(differences)]


def _chunks(init: Initialization | None, differences: Sequence[bool]) -> bytes:
    """Packed chunks; a file none of whose tensors is differences does not need the initialization."""
    if init is None or not any(differences):
        return b""
    data = initialization.pack_reference(init.identity, differences)
    return container.pack_chunks((container.Chunk(container.CHUNK_INITIALIZATION, data, required=True),))


def _frame_bytes(plan: Plan, size: tuple[int, int], channels: int, init: Initialization | None) -> int:
    """What a file of the plan's budget holds beside its payload, at most."""
    assert plan.budget_bytes is not None
    longest = plan.budget_bytes // 4 * 4
    chunks = _chunks(init, [True] * len(init.weights)) if init else b""
    return _header(plan, size, channels, longest, len(chunks)).file_bytes - longest


def _coded(fitted: "Fitted", init: Initialization | None = None, rounding: float = 0.5, coarser: int = 0) -> bytes:
    """Quantize and code a network.

    Args:
        rounding: fraction of a step from which a weight's magnitude is rounded up.
        coarser: by how much step indices are raised.
    """
    steps = [quantization.step_index(step) + coarser for step in fitted.steps]
    indices = [min(index, quantization.STEP_INDEX_MAX) for index in steps]
    references = _references(init, fitted.differences)
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


class Network(NamedTuple):
    """What a file holds, once read."""

    header: container.Header
    architecture: Architecture
    weights: list[NDArray[np.float32]]
    """Kernels and biases as `Architecture.shapes` lists them."""


def read_network(data: bytes) -> Network:
    """The weights of an .inr file; NumPy and constriction only.

    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        MissingInitializationError: its weights are differences from an initialization that is not known here.
    """
    header, payload, chunks = container.unpack(data)
    architecture = Architecture.of(header)
    references = _named_references(architecture, chunks)
    weights = [
        quantization.dequantize(tensor.symbols, quantization.step_size(tensor.step_index), reference)
        for tensor, reference in zip(
            entropy.decode_tensors(payload, architecture.shapes, header.coding), references, strict=True
        )
    ]
    return Network(header, architecture, weights)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode an .inr file; NumPy and constriction only.

    Returns:
        uint8, shape (height, width, channels).
    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        MissingInitializationError: its weights are differences from an initialization that is not known here.
    """
    header, architecture, weights = read_network(data)
    work = architecture.weight_count * header.size[0] * header.size[1]
    if work > WORK_MAX:
        raise FormatError(
            f"header: decoding {header.size[0]}x{header.size[1]} pixels with {architecture.weight_count} weights takes "
            f"{work:.1e} multiplications, more than the {WORK_MAX:.0e} allowed (pillow_inr.codec.WORK_MAX)"
        )
    return siren.synthesize(architecture, weights, header.size)


def _named_references(
    architecture: Architecture, chunks: Sequence[container.Chunk]
) -> list[NDArray[np.float32] | np.float32]:
    """`_references` of the initialization that a file names, if it names one (docs/format.md section 7)."""
    tensors = len(architecture.shapes)
    found = [chunk for chunk in chunks if chunk.kind == container.CHUNK_INITIALIZATION]
    if not found:
        return _references(None, [False] * tensors)
    if len(found) > 1 or not found[0].required:
        raise FormatError("chunks: there must be at most one of kind 1, the initialization, marked as required")
    identity, differences = initialization.read_reference(found[0].data, tensors)
    init = initialization.find(identity)
    if init.architecture != architecture:
        raise FormatError(f"chunks: the initialization {identity.hex()} is for another network than the header's")
    return _references(init, differences)


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8:
        raise ValueError(f"image must be an array of uint8, got {image.dtype}")
    if image.ndim != 3 or not 1 <= image.shape[2] <= len(container.MODES):
        raise ValueError(f"image must have the shape (height, width, 1..4 channels), got {image.shape}")
    if not image.size:
        raise ValueError(f"cannot encode an empty image, got the shape {image.shape}")


def _fitting() -> ModuleType:
    try:
        from . import fit
    except ImportError as error:
        raise BackendError(
            f"fitting a network needs Keras on TensorFlow, which cannot be imported here: {error}"
        ) from error
    return fit


def _header(
    plan: Plan, size: tuple[int, int], channels: int, payload_bytes: int = 0, chunks_bytes: int = 0
) -> container.Header:
    return container.Header(
        size=size,
        pixel_format=channels - 1,
        encoding=container.ENCODING_FOURIER if plan.frequencies else container.ENCODING_NONE,
        frequencies=plan.frequencies,
        growth=plan.growth,
        width=plan.width,
        depth=plan.depth,
        payload_bytes=payload_bytes,
        chunks_bytes=chunks_bytes,
    )
