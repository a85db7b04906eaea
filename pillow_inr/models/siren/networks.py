"""Fits the networks of a plan, one part of the image after another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ...encoding.deadline import Deadline
from ...encoding.progress import Report
from ...encoding.source_image import SourceImage
from ...imaging.metrics import psnr_db
from ...options import EncodeOptions
from ...runtime.tensorflow import needs_keras
from . import mosaic, weight_coding
from .architecture import Architecture
from .division import Part
from .fitted import Budget, Fitted
from .model import PSNR_PIXELS
from .packing import Packing, blank
from .plan import Plan

# Part of a time limit that is kept for measuring the PSNR: multiplications a second, on one slow core or several.
PSNR_SPEED = 3e10


class NetworksJob(NamedTuple):
    """What `fit_networks` is asked for."""

    source: SourceImage
    plan: Plan
    options: EncodeOptions
    deadline: Deadline
    packing: Packing
    frame_bytes: int
    """What the file holds beside the payload."""
    room: int | None
    """Bytes that the payload may take; None for no limit."""
    report: Report | None


def fit_networks(job: NetworksJob) -> list[Fitted]:
    """Fit the networks of all parts, in order.

    Raises:
        BackendError, FitError: as `training.fit.fit`.
    """
    source, plan = job.source, job.plan
    architecture = plan.header.architecture(source.channels)
    measuring = architecture.weight_count * min(source.pixels, PSNR_PIXELS) / PSNR_SPEED
    deadline = job.deadline.earlier(measuring)
    parts = mosaic.parts_of(plan, source.size)
    progress = _Progress(job, len(parts))
    networks: list[Fitted] = []
    left = job.room
    for index, part in enumerate(parts):
        share = plan.shares[index] / sum(plan.shares[index:])
        budget = None if left is None else Budget(int(share * left), job.packing.network_bytes)
        fitted = _fit_part(job, architecture, part, index, deadline.part(1 / (len(parts) - index)), budget, progress)
        networks.append(fitted)
        if left is not None:
            left = max(1, left - job.packing.network_bytes(fitted))
        progress.add(fitted, part)
    return networks


def _fit_part(
    job: NetworksJob,
    architecture: Architecture,
    part: Part,
    index: int,
    deadline: Deadline,
    budget: Budget | None,
    progress: "_Progress",
) -> Fitted:
    source, plan, options = job.source, job.plan, job.options
    left, top, right, bottom = part.support
    rows, columns = slice(top, bottom), slice(left, right)
    hidden = None if source.hidden is None else source.hidden[rows, columns]
    if hidden is not None and hidden.all():
        return blank(architecture)
    init = job.packing.init
    return _load_fit()(
        source.samples[rows, columns],
        architecture,
        scale=source.scale,
        steps=plan.steps,
        rd_lambda=plan.rd_lambda,
        seed=(options.seed + index) % 2**31,
        deadline=deadline.at,
        initial=init.weights if init else None,
        hidden=hidden,
        axes=part.pixel_axes(),
        device=options.device,
        overhead_bytes=0
        if plan.is_mosaic
        else job.frame_bytes + weight_coding.side_information_bytes(architecture.shapes),
        budget=budget,
        report=progress.report if job.report else None,
    )


@dataclass
class _Progress:
    """Turns what each fit reports into one report on the whole image."""

    job: NetworksJob
    parts: int
    done: int = 0
    error: float = 0.0
    """Sum of squared errors of the parts that are done, in pixels of mean squared error 1."""
    bits: float = 0.0
    pixels: int = 0
    """Of the parts that are done."""

    def add(self, fitted: Fitted, part: Part) -> None:
        """Count a part that is done."""
        width, height = part.core.size
        self.done += 1
        self.pixels += width * height
        self.error += width * height * 10 ** (-fitted.psnr_db / 10)
        self.bits += fitted.rate_bits

    def report(self, step: int, steps: int, psnr: float, bits_per_pixel: float) -> None:
        """Report on all parts: steps of all, PSNR and rate of those that are done and of the one that is fitted."""
        if self.job.report is None:
            return
        share = (self.job.source.pixels - self.pixels) / (self.parts - self.done)
        mse = (self.error + share * 10 ** (-psnr / 10)) / (self.pixels + share)
        rate = (self.bits + share * bits_per_pixel) / (self.pixels + share)
        self.job.report(self.done * steps + step, self.parts * steps, psnr_db(mse), rate)


def _load_fit() -> Callable[..., Fitted]:
    """Import the fit, and TensorFlow with it, when one is made."""
    with needs_keras("fitting a network"):
        from .training.fit import fit
    return fit
