"""One self-contained HTML page about a batch: statistics of all images, pictures of the worst and the best."""

import hashlib
import json
import math
import random
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from ..batch import manifest
from . import charts as report_charts
from . import images as report_images
from .charts import Chart, Place
from .images import Views

if TYPE_CHECKING:
    from ..batch.manifest import Record

_TEMPLATE = Path(__file__).with_name("template.html")
# Points of the scatter plot: more would hide each other and slow the browser down.
POINTS_MAX = 2000
# Rows of the table of failures.
FAILURES_MAX = 200
# Characters of a name or a message.
TEXT_MAX = 300
# A longer pause between images ends a run: nobody was encoding.
PAUSE_SECONDS = 60.0
# Numbers outside these ranges cannot be those of an image; they are left out.
_BOUNDS = {"bytes": (1, 1e15), "bpp": (1e-9, 1e6), "psnr": (-1e3, 1e3), "ms_ssim": (-1, 1), "seconds": (0, 1e9)}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An image whose pictures the page shows."""

    anchor: str
    name: str
    figures: Sequence[tuple[str, str]]
    pictures: Views


def render(
    path: Path,
    *,
    outputs: Path | None = None,
    images: int = 3,
    on_image: Callable[[int, int], None] = lambda number, count: None,
) -> bytes:
    """Make the page about the images of a manifest.

    Args:
        path: the manifest.
        outputs: folder of the .inr files; by default the manifest's.
        images: number of worst and of best images to show, by PSNR.
        on_image: called before each shown image with its number, from 1 on, and their count.
    Returns:
        HTML in UTF-8. It holds its pictures, styles and script and loads nothing.
    Raises:
        OSError: the manifest cannot be read.
        ValueError: the manifest is damaged or empty.
    """
    records = manifest.read(path)
    if not records:
        raise ValueError("no image is listed in it")
    done = [record for record in records if record.done]
    failed = [record for record in records if not record.done]
    worst, best = choose(done, images)
    kinds = [(record, "worst") for record in worst] + [(record, "best") for record in best]
    anchors = {record.output: (f"image-{number}", kind) for number, (record, kind) in enumerate(kinds, 1)}
    shown = []
    for number, (record, _) in enumerate(kinds, 1):
        on_image(number, len(kinds))
        shown.append(_shown(record, anchors[record.output][0], path.parent, outputs or path.parent))
    page = _environment().from_string(_TEMPLATE.read_text(encoding="utf-8"))
    text = page.render(
        title=readable(path.absolute().parent.name or path.name),
        manifest=readable(str(path)),
        tiles=_tiles(records, done),
        facts=_facts(records),
        failures=[(readable(record.source), readable(record.error or ""), record.attempts) for record in failed][
            :FAILURES_MAX
        ],
        failure_count=len(failed),
        charts=_charts(done, anchors),
        groups=[group for group in (("Worst", shown[: len(worst)]), ("Best", shown[len(worst) :])) if group[1]],
        colours=report_images.colours(),
        lossless=report_images.LOSSLESS_PIXELS,
        quality=report_images.QUALITY,
    )
    return text.encode()


def choose(done: Sequence["Record"], images: int) -> tuple[list["Record"], list["Record"]]:
    """The worst images by PSNR, lowest first, and the best ones, highest first; none is in both."""
    known = [record for record in done if record.exact or _number(record, "psnr") is not None]
    known.sort(key=_psnr_db)
    number = min(images, -(-len(known) // 2))
    worst, others = known[:number], known[number:]
    return worst, others[::-1][:images]


def readable(text: str) -> str:
    """Escape invisible and control characters of a text from outside, and cut it at TEXT_MAX."""
    seen = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text[:TEXT_MAX]
    )
    return seen + ("…" if len(text) > TEXT_MAX else "")


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["sha256"] = lambda text: b64encode(hashlib.sha256(str(text).encode()).digest()).decode()
    return environment


def _number(record: "Record", name: str) -> float | None:
    """A number of an image; None if it is missing or out of its range."""
    value = getattr(record, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    low, high = _BOUNDS[name]
    return float(value) if low <= value <= high else None


def _numbers(records: Iterable["Record"], name: str) -> list[float]:
    return [value for record in records if (value := _number(record, name)) is not None]


def _psnr_db(record: "Record") -> float:
    value = _number(record, "psnr")
    return math.inf if record.exact or value is None else value


def _tiles(records: Sequence["Record"], done: Sequence["Record"]) -> list[tuple[str, str]]:
    """Values and labels of the head line."""
    names = ("bytes", "bpp", "psnr", "ms_ssim", "seconds")
    sizes, rates, psnrs, similarities, seconds = (_numbers(done, name) for name in names)
    exact = sum(record.exact for record in done)
    tiles = [(f"{len(done):,}", "image" if len(done) == 1 else "images")]
    tiles += [(f"{len(records) - len(done):,}", "failed"), (size_text(sum(sizes)), "in all")]
    if rates:
        tiles.append((f"{_mean(rates):.3f}", "bits per pixel, mean"))
    if psnrs:
        left_out = f", without {exact:,} exact" if exact else ""
        tiles.append((f"{_mean(psnrs):.2f} dB", f"PSNR, mean{left_out}"))
    if similarities:
        tiles.append((f"{_mean(similarities):.4f}", "MS-SSIM, mean"))
    tiles.append((time_text(sum(seconds)), "of encoding, all workers"))
    pace = images_per_minute(done)
    if pace is not None:
        tiles.append((f"{pace:,.0f}" if pace >= 100 else f"{pace:.3g}", "images per minute"))
    return tiles


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def size_text(count: float) -> str:
    """Format a number of bytes."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if round(count) >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count:,.0f} bytes"


def time_text(seconds: float) -> str:
    """Format a time."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6000 else f"{minutes / 60:,.0f} h"


def images_per_minute(done: Sequence["Record"]) -> float | None:
    """Images finished per minute of work; None if the manifest does not tell.

    Pauses of more than PAUSE_SECONDS do not count.
    """
    spans = sorted(span for record in done if (span := _span(record)) is not None)
    if not spans:
        return None
    busy, reached = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, reached)) + (start - reached if 0 < start - reached <= PAUSE_SECONDS else 0.0)
        reached = max(reached, end)
    return 60 * len(spans) / busy if busy > 0 else None


def _span(record: "Record") -> tuple[float, float] | None:
    """Start and end of the encoding, in seconds."""
    seconds = _number(record, "seconds")
    try:
        end = datetime.fromisoformat(record.time).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return None if seconds is None else (end - seconds, end)


def _facts(records: Sequence["Record"]) -> list[tuple[str, str]]:
    """Options, versions, workers and dates of the batch."""
    options = Counter(_options_text(record.options) for record in records)
    versions = Counter(readable(str(record.version)) for record in records)
    workers = {record.worker for record in records if record.worker}
    times = sorted(str(record.time) for record in records if record.time)
    facts = [("options", _counted(options)), ("pillow_inr", _counted(versions)), ("workers", f"{len(workers):,}")]
    warned = sum(record.warning is not None for record in records)
    if warned:
        facts.append(("warned", f"{warned:,} of {len(records):,}; see the manifest"))
    if times:
        first, last = (readable(time[:16].replace("T", " ")) for time in (times[0], times[-1]))
        facts.append(("finished", first if first == last else f"{first} to {last} (UTC)"))
    return facts


def _options_text(options: Any) -> str:
    if not isinstance(options, dict):
        return readable(json.dumps(options))
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    text = " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given.items())
    return readable(text) or "the defaults"


def _counted(texts: Counter[str], most: int = 4) -> str:
    if len(texts) == 1:
        return next(iter(texts))
    named = [f"{text} ({count:,})" for text, count in texts.most_common(most)]
    left_out = len(texts) - len(named)
    return "; ".join(named) + (f"; {left_out:,} more" if left_out else "")


def _charts(done: Sequence["Record"], anchors: dict[str, tuple[str, str]]) -> list[Chart]:
    exact = sum(record.exact for record in done)
    note = f"; {exact:,} exact ones have none" if exact else ""
    charts = [
        report_charts.histogram([value / 1000 for value in _numbers(done, "bytes")], "Bytes", "kilobytes", "kB"),
        report_charts.histogram(_numbers(done, "psnr"), f"PSNR{note}", "PSNR in dB", "dB"),
        report_charts.histogram(_numbers(done, "seconds"), "Time", "seconds of encoding", "s"),
        _scatter(done, anchors),
    ]
    return [chart for chart in charts if chart is not None]


def _scatter(done: Sequence["Record"], anchors: dict[str, tuple[str, str]]) -> Chart | None:
    known = [record for record in done if None not in (_number(record, "bpp"), _number(record, "psnr"))]
    note = ""
    drawn = known
    if len(known) > POINTS_MAX:
        marked = [record for record in known if record.output in anchors]
        others = [record for record in known if record.output not in anchors]
        drawn = marked + random.Random(0).sample(others, max(0, POINTS_MAX - len(marked)))
        note = f"{len(drawn):,} of {len(known):,} images, drawn at random"
    return report_charts.scatter([_place(record, anchors) for record in drawn], note)


def _place(record: "Record", anchors: dict[str, tuple[str, str]]) -> Place:
    bpp, psnr_db = _number(record, "bpp") or 0.0, _number(record, "psnr") or 0.0
    anchor, kind = anchors.get(record.output, (None, "other"))
    return Place(bpp, psnr_db, f"{readable(record.source)}: {bpp:.3f} bpp, {psnr_db:.2f} dB", anchor, kind)


def _shown(record: "Record", anchor: str, sources: Path, outputs: Path) -> Shown:
    pictures = report_images.views_of(record, sources, outputs)
    warned = [f"The encode warned: {record.warning}"] if record.warning else []
    pictures.notes = [readable(note) for note in warned + pictures.notes]
    return Shown(anchor=anchor, name=readable(record.source), figures=_figures(record), pictures=pictures)


def _figures(record: "Record") -> list[tuple[str, str]]:
    """Labels and values of an image, from the manifest."""
    size, bpp, ms_ssim, seconds = (_number(record, name) for name in ("bytes", "bpp", "ms_ssim", "seconds"))
    psnr_db = _psnr_db(record)
    return [
        ("pixels", f"{record.width}×{record.height}, {record.channels} × {readable(str(record.dtype))}"),
        ("bytes", "–" if size is None else f"{size:,.0f}"),
        ("bits per pixel", "–" if bpp is None else f"{bpp:.3f}"),
        ("PSNR", "exact" if psnr_db == math.inf else f"{psnr_db:.2f} dB"),
        ("MS-SSIM", "–" if ms_ssim is None else f"{ms_ssim:.4f}"),
        ("encoded in", "–" if seconds is None else time_text(seconds)),
    ]
