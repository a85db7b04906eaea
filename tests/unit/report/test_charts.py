"""Charts of the report: drawings by matplotlib as SVG elements of the page."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from pillow_inr.report import charts
from pillow_inr.report.charts import HEIGHT, WIDTH, Chart, Place

VALUES = [
    [3.0],
    [0.0, 0.0],
    [1.0, 2.0, 3.0],
    [0.01, 4000.0],
    [-3.0, 40.0],
    [30.0, math.nextafter(30.0, 31.0)],
    [1e-9, 1e15],
    [99.5, 100.5],
]

HARMLESS = {"svg", "a", "defs", "g", "path", "use", "text", "title", "clipPath", "rect"}


class _Drawing:
    """A chart's SVG element, parsed."""

    def __init__(self, chart: Chart | None) -> None:
        assert chart is not None
        self.root = ElementTree.fromstring(chart.svg)
        marks = [mark for mark in self.root.iter() if mark.find("title") is not None]
        self.tooltips = [mark.findtext("title") or "" for mark in marks]
        self.paths = [mark.get("d") or "" for mark in marks]
        self.points = [(float(mark.get("x") or 0), float(mark.get("y") or 0)) for mark in marks]

    def labels(self, anchor: str) -> list[str]:
        """Texts below the chart, anchored at "middle", or left of it, anchored at "end"."""
        return [text.text or "" for text in self.root.iter("text") if f"text-anchor: {anchor}" in text.get("style", "")]


def _positions(drawing: _Drawing) -> tuple[list[float], list[float]]:
    """Coordinates of the corners of bars and of the anchors of texts."""
    numbers = [float(number) for path in drawing.paths for number in re.findall(r"-?[\d.]+", path)]
    texts = list(drawing.root.iter("text"))
    across = numbers[::2] + [float(text.get("x", "nan")) for text in texts]
    down = numbers[1::2] + [float(text.get("y", "nan")) for text in texts]
    return across, down


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_everything_lies_within_the_drawing(values: list[float]) -> None:
    drawing = _Drawing(charts.histogram(values, "Bytes", "bytes", "B"))
    across, down = _positions(drawing)
    assert min(across) >= 0 and max(across) <= WIDTH
    assert min(down) >= 0 and max(down) <= HEIGHT
    for anchor in ("middle", "end"):
        labels = drawing.labels(anchor)
        assert 2 <= len(labels) <= 11
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_a_scatter_plot_of_any_values(values: list[float]) -> None:
    drawing = _Drawing(charts.scatter([Place(max(abs(value), 1e-9), value, str(value)) for value in values]))
    assert drawing.tooltips == [str(value) for value in values]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in drawing.points)


def test_no_image_is_lost_in_the_bins() -> None:
    for values in (np.random.default_rng(0).lognormal(0, 3, 1000).tolist(), [5.0, 5.0, 5.0], [1.0, 2.0]):
        drawing = _Drawing(charts.histogram(values, "Time", "seconds", "s"))
        assert sum(int(text.split()[-2].replace(",", "")) for text in drawing.tooltips) == len(values)
        assert 5 <= len(drawing.tooltips) <= charts.BINS_MAX


@pytest.mark.parametrize(
    ("values", "logarithmic"), [([1.0, 1000.0], True), ([1.0, 30.0], False), ([0.0, 1000.0], False)]
)
def test_wide_ranges_are_logarithmic(values: list[float], logarithmic: bool) -> None:
    *ticks, label = _Drawing(charts.histogram(values, "Time", "seconds", "s")).labels("middle")
    assert label == ("seconds, logarithmic" if logarithmic else "seconds")
    assert not logarithmic or ticks == ["1", "3", "10", "30", "100", "300", "1,000"]


def test_counts_have_whole_ticks() -> None:
    drawing = _Drawing(charts.histogram([1.0, 2.0], "PSNR", "dB", "dB"))
    assert drawing.labels("end") == ["0", "1"]


def test_images_that_are_shown_lie_on_top() -> None:
    places = [Place(1, 30, "a", "image-1", "worst"), Place(2, 32, "b"), Place(3, 34, "c", "image-2", "best")]
    drawing = _Drawing(charts.scatter(places))
    assert drawing.tooltips == ["b", "a", "c"]
    assert {a.get("href"): a.findtext("title") for a in drawing.root.iter("a")} == {"#image-1": "a", "#image-2": "c"}


def test_the_drawing_fits_into_a_page() -> None:
    drawn = [charts.histogram([1.0, 50.0, 60.0], title, "seconds", "s") for title in ("Time", "Bytes")]
    drawn.append(charts.scatter([Place(1, 30, "a", "image-1", "worst"), Place(2, 32, "b")]))
    ids: list[str] = []
    for chart in drawn:
        assert chart is not None and "xmlns" not in chart.svg and "xlink" not in chart.svg
        # Colours come from the page, for its light and dark schemes.
        assert not re.search(r"(fill|stroke): #", chart.svg) and "var(--mark)" in chart.svg
        root = ElementTree.fromstring(chart.svg)
        assert {element.tag for element in root.iter()} <= HARMLESS
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(set(ids)) == len(ids)
    assert drawn[0] == charts.histogram([1.0, 50.0, 60.0], "Time", "seconds", "s")


def test_names_stay_text() -> None:
    name = "$x$ <script>alert(1)</script> \"'&lt; #0a0b00 </title>"
    drawing = _Drawing(charts.scatter([Place(1, 30, name, "image-1", "worst")]))
    assert drawing.tooltips == [name]


def test_nothing_is_drawn_of_nothing() -> None:
    assert charts.histogram([], "Bytes", "bytes", "B") is None
    assert charts.scatter([]) is None
