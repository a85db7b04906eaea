"""Multi-scale structural similarity, TensorFlow's; imports TensorFlow when it is measured."""

from itertools import pairwise

from ..runtime.tensorflow import needs_keras
from .samples import Samples, Scale

MS_SSIM_SIDE = 176
"""Shortest side that can be measured: windows of 11 pixels on an image halved four times."""
# Larger images are measured in bands of rows, and the result is the mean over these: 60 bytes a sample would otherwise
# take more memory than the fit.
MS_SSIM_SAMPLES = 6 << 20


def ms_ssim(original: Samples, decoded: Samples, scale: Scale) -> float | None:
    """Mean over channels and bands, 0..1; None if a side is shorter than MS_SSIM_SIDE.

    Args:
        original: shape (height, width, channels).
        decoded: the same shape.
        scale: maps samples to 0..1.
    Source: Wang, Simoncelli and Bovik 2003.
    """
    height, width, _ = original.shape
    if min(height, width) < MS_SSIM_SIDE:
        return None
    with needs_keras("MS-SSIM"):
        import tensorflow as tf

    bands = max(1, min(-(-original.size // MS_SSIM_SAMPLES), height // MS_SSIM_SIDE))
    edges = [height * band // bands for band in range(bands + 1)]
    total = 0.0
    with tf.device("CPU:0"):  # a GPU's memory is the fit's
        for top, bottom in pairwise(edges):
            both = (scale.to_normalized(samples[top:bottom]) for samples in (original, decoded))
            total += float(tf.image.ssim_multiscale(*both, 1.0).numpy())
    mean: float = round(total / bands, 6)
    return mean
