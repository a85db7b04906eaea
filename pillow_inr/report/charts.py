"""Charts of the report: histograms and a scatter plot, drawn by matplotlib as SVG elements of the page.

matplotlib places, scales and labels; this module adds what a page needs beyond a picture. Colours become variables of
the page's style sheet, so that they follow a dark scheme. Bars and points get tooltips, which `xml.etree` escapes.
"""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

# Size of a drawing, in pixels on a phone: text of 11 pixels is readable there.
WIDTH, HEIGHT, TEXT_SIZE = 340, 220, 11
# More bins show no more and make small samples noisy.
BINS_MAX = 30
# From this ratio of largest to smallest value on, an axis is logarithmic: most images would be in its first bins.
LOG_RATIO = 40
# Above this number, points are smaller and paler.
DENSE = 300
# Stand-ins for the page's colours while matplotlib draws, and the variables of its style sheet.
LINE, MARK, WORST, BEST = (f"#0a0b0{digit}" for digit in range(4))
VARIABLES = {LINE: "var(--line)", MARK: "var(--mark)", WORST: "var(--worst)", BEST: "var(--best)"}
# Parts of matplotlib's drawing that have no place in a page: namespaces, which HTML does without, and a style for all
# elements.
_LEFT_OUT = re.compile(r'xlink:(?=href)| xmlns(:\w+)?="[^"]*"|<style.*?</style>')
# Id of the groups of bars and points in matplotlib's drawing.
_MARKS = "marks"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing for the page."""

    title: str
    svg: str
    """An <svg> element that may stand in HTML as it is."""
    note: str
    linked: bool = False
    """Points lead to pictures on the page."""


@dataclass(frozen=True)
class Place:
    """Rate and distortion of an image."""

    bpp: float
    psnr_db: float
    text: str
    """Tooltip."""
    anchor: str | None = None
    """Id of the element of the page that shows the image."""
    kind: str = "other"
    """"worst", "best" or "other"."""


def histogram(values: Sequence[float], title: str, across: str, unit: str) -> Chart | None:
    """Draw how many images have which value.

    Args:
        values: finite.
        across: label of the horizontal axis.
        unit: of the values, for tooltips and the note.
    Returns:
        None if there are no values.
    """
    if not values:
        return None
    rounded = _rounded(values)
    counts, edges = np.histogram(rounded, _edges(rounded))
    tooltips = [
        f"{left:,.4g} to {right:,.4g} {unit}: {count:,} {'image' if count == 1 else 'images'}"
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    low, middle, high = (f"{value:,.4g}" for value in np.quantile(rounded, (0.1, 0.5, 0.9)))
    note = f"median {middle} {unit}; 80 % of the images between {low} and {high}"
    with _drawing(title, across, "images") as (figure, axes):
        _set_scale(axes, "x", values)
        axes.locator_params("y", integer=True)
        # A little narrower than the bins, so that bars stand apart.
        for bar in axes.bar(edges[:-1], counts, 0.95 * np.diff(edges), align="edge", color=MARK):
            bar.set_gid(_MARKS)
        svg = _svg(figure, tooltips, [None] * len(tooltips), f"{title}: images against {across}. {note}", "img")
    return Chart(title=title, svg=svg, note=note)


def scatter(places: Sequence[Place], note: str = "") -> Chart | None:
    """Draw PSNR over bits per pixel, the worst and the best images on top; None without images."""
    if not places:
        return None
    title, across, down = "Rate and distortion", "bits per pixel", "PSNR in dB"
    area, alpha = (10, 0.4) if len(places) > DENSE else (28, 0.6)
    looks = {"other": ("o", MARK, area, alpha), "worst": ("v", WORST, 70, 1.0), "best": ("^", BEST, 70, 1.0)}
    groups = {kind: group for kind in looks if (group := [place for place in places if place.kind == kind])}
    with _drawing(title, across, down) as (figure, axes):
        _set_scale(axes, "x", [place.bpp for place in places])
        _set_scale(axes, "y", [place.psnr_db for place in places])
        for kind, group in groups.items():
            marker, colour, size, opacity = looks[kind]
            rates, psnrs = _rounded([place.bpp for place in group]), _rounded([place.psnr_db for place in group])
            points = axes.scatter(rates, psnrs, size, color=colour, marker=marker, alpha=opacity, linewidths=0)
            points.set_gid(_MARKS)
        drawn = [place for group in groups.values() for place in group]
        tooltips = [place.text for place in drawn]
        svg = _svg(
            figure, tooltips, [place.anchor for place in drawn], f"{title}: {down} against {across}. {note}", "group"
        )
    return Chart(title=title, svg=svg, note=note, linked=any(place.anchor for place in places))


def _rounded(values: Sequence[float]) -> list[float]:
    """Values of five digits: labels of six tell them apart."""
    return [float(f"{value:.5g}") for value in values]


def _edges(values: Sequence[float]) -> NDArray[np.float64]:
    """Edges of the bins: 5 to 30 of them, about the square root of the number of values."""
    low, high = min(values), max(values)
    margin = 0.1 * abs(low) or 1.0 if low == high else 0.0
    number = min(BINS_MAX, max(5, math.ceil(math.sqrt(len(values)))))
    spaced = np.geomspace if _spans_decades(values) else np.linspace
    return spaced(low - margin, high + margin, number + 1)


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= LOG_RATIO


@contextmanager
def _drawing(title: str, across: str, down: str) -> Iterator[tuple[Figure, Axes]]:
    """Empty axes in the report's style, which holds while the context is open."""
    # Starting from matplotlib's defaults leaves a user's own style out. The salt makes ids repeatable, and unique on
    # the page.
    style = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": TEXT_SIZE, "font.sans-serif": "DejaVu Sans"}
    with matplotlib.style.context(["default", style]):
        figure = Figure((WIDTH / 72, HEIGHT / 72), facecolor="none", layout="constrained")  # 72 units per inch
        axes = figure.add_subplot(frame_on=False, xlabel=across, axisbelow=True)
        axes.set_title(down, loc="left", fontsize=TEXT_SIZE)
        axes.grid(color=LINE)
        axes.tick_params(length=0, labelsize=TEXT_SIZE)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
            axis.set_major_formatter("{x:,.6g}")
        yield figure, axes


def _set_scale(axes: Axes, name: str, values: Sequence[float]) -> None:
    """Make the axis "x" or "y" logarithmic if the values span decades."""
    if not _spans_decades(values):
        return
    axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 3) if max(values) / min(values) < 3000 else (1,), numticks=7))
    axis.set_major_formatter("{x:,.6g}")
    axes.minorticks_off()
    if name == "x":
        axes.set_xlabel(f"{axes.get_xlabel()}, logarithmic")


def _svg(figure: Figure, tooltips: Sequence[str], anchors: Sequence[str | None], label: str, role: str) -> str:
    """The drawing as an element of an HTML page.

    Args:
        tooltips: of the marks, in the order in which they were drawn.
        anchors: ids of the elements of the page to which they lead.
        label, role: for screen readers.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = _LEFT_OUT.sub("", stream.getvalue())
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    root = ElementTree.fromstring(drawing)
    root.attrib |= {"role": role, "aria-label": label}
    groups = [group for group in root.iter("g") if group.get("id") == _MARKS]
    # Definitions, which marks refer to, have ids; marks have none.
    marks = [mark for group in groups for mark in group.iter() if mark.tag in ("path", "use") and not mark.get("id")]
    for mark, tooltip, anchor in zip(marks, tooltips, anchors, strict=True):
        if anchor:
            ElementTree.SubElement(mark, mark.tag, mark.attrib)
            mark.tag, mark.attrib = "a", {"href": f"#{anchor}"}
        ElementTree.SubElement(mark, "title").text = tooltip
    for group in root.iter("g"):
        group.attrib.pop("id", None)  # each drawing has the same ones
    return ElementTree.tostring(root, "unicode")
