"""The model "auto": the pyramid, or the SIREN where that gives the better file; and the file of a single colour."""

from collections.abc import Callable
from dataclasses import replace

from ..encoding.source_image import BudgetError, Encoded, SourceImage
from ..errors import FitError
from ..options import EncodeOptions, budget_bytes, image_rd_lambda
from .base import EncodeJob
from .pyramid import encoder as pyramid_encoder
from .pyramid.encoder import Trial
from .siren import encoder as siren_encoder
from .siren import simple as siren_simple

# A SIREN is tried, too, for images of at most this many pixels, and where the pyramid's file has at most this many
# bytes or bits per pixel: neither model is better at all icons, and on flat or smooth images a SIREN takes a tenth of
# the bytes.
SMALL_PIXELS = 128 * 128
SMALL_BYTES = 4096
SMALL_BPP = 0.2
# A small image gets one full fit only, of the model that is ahead after brief fits: the SIREN's, and the pyramid's of
# this many steps (docs/experiments.md section 16).
PROBE_STEPS = 100


def encode(job: EncodeJob) -> Encoded:
    """Fit a pyramid, where it may pay a SIREN as well, and return the better file (`models.base.Encoder`)."""
    source, options, deadline = job
    if source.is_flat:
        flat = encode_single_colour(source)
        if len(flat.data) <= (budget_bytes(options, source.size) or len(flat.data)):
            return flat
    if pyramid_encoder.is_instant(source, options):
        return pyramid_encoder.encode(job)
    if _has_race(job):
        return _race(job)
    pyramids = deadline.part(0.5) if source.pixels <= SMALL_PIXELS else deadline
    try:
        trial = pyramid_encoder.fit_and_pack(job._replace(deadline=pyramids))
    except (BudgetError, FitError) as error:
        return _siren_or(job, error)
    if not _is_doubtful(job, trial):
        return trial.file
    try:
        siren = _siren_against(trial, job)
    except (BudgetError, FitError):
        return trial.file
    return min(trial.file, siren or trial.file, key=_cost(source, options))


def _has_race(job: EncodeJob) -> bool:
    """Whether brief fits decide which model gets the full one: for small images, unless lambda is searched for."""
    source, options, _ = job
    has_goal = options.psnr is not None or budget_bytes(options, source.size) is not None
    return source.pixels <= SMALL_PIXELS and not has_goal and pyramid_encoder.steps(job) > 2 * PROBE_STEPS


def _race(job: EncodeJob) -> Encoded:
    """Fit both models briefly and the more promising one in full; the best of these files."""
    source, options, deadline = job
    brief = job._replace(options=replace(options, steps=PROBE_STEPS), deadline=deadline.part(0.2))
    rd_lambda = image_rd_lambda(options, source.channels, source.pixels)
    try:
        probe = pyramid_encoder.fit_and_pack(brief)
    except FitError as error:
        return _siren_or(job, error)
    loss = probe.file.loss(rd_lambda, source.pixels)
    try:
        siren = siren_simple.try_simple(job, rd_lambda, loss)
        if siren is not None and siren.loss < loss:
            return siren_simple.finish_simple(job, siren)
        if not deadline.is_over:
            return min(probe.file, pyramid_encoder.encode(job), key=_cost(source, options))
    except FitError:
        pass
    return probe.file


def encode_single_colour(source: SourceImage) -> Encoded:
    """Pack the mean colour: the shortest file that shows something, without a fit."""
    return siren_encoder.encode_flat(source)


def _is_doubtful(job: EncodeJob, trial: Trial) -> bool:
    """Whether a SIREN may do better than a pyramid's file, and there is time for it."""
    pixels, length = job.source.pixels, len(trial.file.data)
    if pixels <= SMALL_PIXELS or pyramid_encoder.has_collapsed(job.source, trial):
        return True
    return not job.deadline.is_over and (length <= SMALL_BYTES or 8 * length <= SMALL_BPP * pixels)


def _siren_against(trial: Trial, job: EncodeJob) -> Encoded | None:
    """A SIREN's file of what may be a simple image; None if it is not."""
    rival = trial.file.loss(trial.rd_lambda, job.source.pixels)
    if job.options.psnr is None and budget_bytes(job.options, job.source.size) is None:
        simple = siren_simple.try_simple(job, trial.rd_lambda, rival)
        return None if simple is None else siren_simple.finish_simple(job, simple)
    if siren_simple.may_be_simple(job, trial.rd_lambda, rival):
        return siren_encoder.encode(job)
    return None


def _siren_or(job: EncodeJob, failure: Exception) -> Encoded:
    """The SIREN's file; if it fails, too, the pyramid's failure."""
    try:
        return siren_encoder.encode(job)
    except (BudgetError, FitError):
        raise failure from None


def _cost(source: SourceImage, options: EncodeOptions) -> Callable[[Encoded], tuple[float, ...]]:
    """A key for `min`: the file with the least value serves the options best."""
    goal = options.psnr
    if goal is not None:
        return lambda file: (0, len(file.data)) if file.psnr_db >= goal else (1, -file.psnr_db)
    if budget_bytes(options, source.size) is not None:
        return lambda file: (-file.psnr_db,)
    rd_lambda = image_rd_lambda(options, source.channels, source.pixels)
    return lambda file: (file.loss(rd_lambda, source.pixels),)
