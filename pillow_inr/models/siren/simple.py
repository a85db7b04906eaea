"""SIRENs for images that may be simple: flat, smooth, an icon. Brief fits tell whether one is worth a full fit."""

from dataclasses import dataclass, replace

from ...encoding.source_image import Encoded, SourceImage
from ..base import EncodeJob
from . import encoder
from .plan import SHARED_PIXELS, SHARED_WIDTH, Plan, plan_for_weights, usual_weights

# Widths to try, steps that show whether a width suits, and the ratio to another model's loss up to which the narrowest
# network counts as a match.
SIMPLE_WIDTHS = (8, 16, 32, 64, 96, 128, 192)
SIMPLE_STEPS = 600
SIMPLE_LOSS = 2.0
# A network too wide for the program that small images share is compiled for seconds: only for images of more pixels
# than these, and where doubling the width has brought the loss down to this part.
ICON_PIXELS = 64 * 64
WORTH_COMPILING = 0.75


def may_be_simple(job: EncodeJob, rd_lambda: float, rival: float) -> bool:
    """Whether the narrowest network, fitted briefly, comes near another file's loss; see `try_simple`."""
    file, _ = _brief(job, SIMPLE_WIDTHS[0], rd_lambda)
    return file.loss(rd_lambda, job.source.pixels) <= SIMPLE_LOSS * rival


@dataclass(frozen=True)
class SimpleTrial:
    """A SIREN of the width that suits an image, fitted briefly."""

    file: Encoded
    plan: Plan
    """Of a full fit."""
    loss: float

    @property
    def is_full(self) -> bool:
        """Whether a full fit would take no more steps."""
        return self.plan.steps <= SIMPLE_STEPS


def try_simple(job: EncodeJob, rd_lambda: float, rival: float) -> SimpleTrial | None:
    """The best of a few SIRENs for an image that may be simple: flat, smooth, an icon.

    Each width is fitted briefly, the narrowest first, until the next one no longer pays.

    Args:
        job: the image; `rd_lambda` takes the place of the options' quality and goals.
        rd_lambda: lambda of the loss.
        rival: loss of another file of the image.
    Returns:
        None if the image is not simple: the narrowest network is no match for the rival.
    Raises:
        BackendError: TensorFlow is missing or not usable.
        FitError: a fit diverged.
    """
    best: SimpleTrial | None = None
    ratio = 0.0
    for width in SIMPLE_WIDTHS:
        if width > SHARED_WIDTH and _is_not_worth_compiling(job.source, ratio):
            break
        file, plan = _brief(job, width, rd_lambda)
        loss = file.loss(rd_lambda, job.source.pixels)
        if best is None and loss > SIMPLE_LOSS * rival:
            return None
        if best is not None and loss >= best.loss:
            break
        ratio = loss / best.loss if best is not None else 0.0
        best = SimpleTrial(file, plan, loss)
    return best


def _is_not_worth_compiling(source: SourceImage, ratio: float) -> bool:
    """Whether another doubling of the width will hardly pay for its compilation.

    Args:
        ratio: of the loss after the last doubling to that before.
    """
    small = source.pixels <= SHARED_PIXELS
    return source.pixels <= ICON_PIXELS or (small and ratio > WORTH_COMPILING)


def finish_simple(job: EncodeJob, trial: SimpleTrial) -> Encoded:
    """The better file of a trial and of the full fit that it stands for; errors as in `try_simple`."""
    source, options, deadline = job
    if trial.is_full or deadline.is_over:
        return trial.file
    longer = encoder.encode_plan(source, trial.plan, options, deadline)
    return longer if longer.loss(trial.plan.rd_lambda, source.pixels) < trial.loss else trial.file


def _brief(job: EncodeJob, width: int, rd_lambda: float) -> tuple[Encoded, Plan]:
    """A network of this width after a few steps, and the plan of which these are a part."""
    source = job.source
    options = replace(job.options, width=width, quality=None, target_bytes=None, bpp=None, psnr=None)
    usual = usual_weights(source.pixels, source.channels)
    plan = replace(plan_for_weights(options, source.size, source.channels, usual), rd_lambda=rd_lambda)
    brief = replace(plan, steps=min(plan.steps, SIMPLE_STEPS))
    return encoder.encode_plan(source, brief, options, job.deadline.part(0.25)), plan
