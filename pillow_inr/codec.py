"""Pixels <-> the bytes of an .inr file: fit, quantize, code, pack; and the way back, without TensorFlow."""

from contextlib import nullcontext
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from . import container, entropy, normal_form, quantization, siren
from .architecture import Architecture
from .config import EncodeOptions, Plan, make_plan
from .errors import BackendError, FormatError
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
    progress = bar("fitting") if options.progress is True else nullcontext(options.progress or None)
    with progress as report:
        fitted = training.fit(
            image,
            architecture,
            steps=plan.steps,
            rate_weight=plan.rate_weight,
            seed=options.seed,
            time_limit=options.time_limit,
            device=options.device,
            overhead_bytes=header.file_bytes + entropy.side_information_bytes(architecture.shapes),
            report=report,
        )
    indices = [quantization.step_index(step) for step in fitted.steps]
    symbols = [
        quantization.quantize(weights, quantization.step_size(index))
        for weights, index in zip(fitted.weights, indices, strict=True)
    ]
    tensors = map(entropy.CodedTensor, normal_form.normalize(symbols), indices)
    payload = entropy.encode_tensors(list(tensors))
    return container.pack(_header(plan, (width, height), channels, len(payload)), payload)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode an .inr file; NumPy and constriction only.

    Returns:
        uint8, shape (height, width, channels).
    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
    """
    header, payload, _ = container.unpack(data)
    architecture = Architecture.of(header)
    work = architecture.weight_count * header.size[0] * header.size[1]
    if work > WORK_MAX:
        raise FormatError(
            f"header: decoding {header.size[0]}x{header.size[1]} pixels with {architecture.weight_count} weights takes "
            f"{work:.1e} multiplications, more than the {WORK_MAX:.0e} allowed (pillow_inr.codec.WORK_MAX)"
        )
    weights = [
        quantization.dequantize(tensor.symbols, quantization.step_size(tensor.step_index))
        for tensor in entropy.decode_tensors(payload, architecture.shapes, header.coding)
    ]
    return siren.synthesize(architecture, weights, header.size)


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


def _header(plan: Plan, size: tuple[int, int], channels: int, payload_bytes: int = 0) -> container.Header:
    return container.Header(
        size=size,
        pixel_format=channels - 1,
        encoding=container.ENCODING_FOURIER if plan.frequencies else container.ENCODING_NONE,
        frequencies=plan.frequencies,
        growth=plan.growth,
        width=plan.width,
        depth=plan.depth,
        payload_bytes=payload_bytes,
        chunks_bytes=0,
    )
