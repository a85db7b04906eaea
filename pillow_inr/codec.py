"""Pixels <-> the bytes of an .inr file: fit, quantize, code, pack; and the way back, without TensorFlow."""

from collections.abc import Sequence
from contextlib import nullcontext
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from . import container, entropy, initialization, quantization, siren
from .architecture import Architecture
from .config import EncodeOptions, Plan, make_plan
from .errors import BackendError, FormatError
from .initialization import Initialization
from .progress import bar

# Multiplications that decoding a file may take: some twenty minutes of four cores. A 50-megapixel image with the
# largest network that `quality` chooses takes a tenth of it.
WORK_MAX = 10**14


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
    height, width, channels = image.shape
    plan = make_plan(options, (width, height), channels)
    header = _header(plan, (width, height), channels)
    architecture = Architecture.of(header)
    if architecture.weight_count * width * height > WORK_MAX:
        raise ValueError(f"a network of {plan.width}x{plan.depth} is too large for an image of {width}x{height} pixels")
    training = _training()
    init = options.init if isinstance(options.init, Initialization) else None
    progress = bar("fitting") if options.progress is True else nullcontext(options.progress or None)
    with progress as report:
        fitted = training.fit(
            image,
            architecture,
            steps=plan.steps,
            rate_weight=plan.rate_weight,
            seed=options.seed,
            initial=init.weights if init else None,
            time_limit=options.time_limit,
            device=options.device,
            overhead_bytes=header.file_bytes + entropy.side_information_bytes(len(architecture.shapes)),
            report=report,
        )
    references = _references(init, fitted.differences)
    tensors = []
    for weights, reference, step in zip(fitted.weights, references, fitted.steps, strict=True):
        index = quantization.step_index(step)
        symbols = quantization.quantize(weights - reference, quantization.step_size(index))
        tensors.append(entropy.CodedTensor(symbols, index))
    payload = entropy.encode_tensors(tensors)
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


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode an .inr file; NumPy and constriction only.

    Returns:
        uint8, shape (height, width, channels).
    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        MissingInitializationError: its weights are differences from an initialization that is not known here.
    """
    header, payload, chunks = container.unpack(data)
    architecture = Architecture.of(header)
    work = architecture.weight_count * header.size[0] * header.size[1]
    if work > WORK_MAX:
        raise FormatError(
            f"header: decoding {header.size[0]}x{header.size[1]} pixels with {architecture.weight_count} weights takes "
            f"{work:.1e} multiplications, more than the {WORK_MAX:.0e} allowed (pillow_inr.codec.WORK_MAX)"
        )
    references = _named_references(architecture, chunks)
    weights = [
        quantization.dequantize(tensor.symbols, quantization.step_size(tensor.step_index), reference)
        for tensor, reference in zip(entropy.decode_tensors(payload, architecture.shapes), references, strict=True)
    ]
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


def _training() -> ModuleType:
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
