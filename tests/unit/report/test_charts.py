"""Charts of the report: axes, their ticks, bins."""

import math

import numpy as np
import pytest

from pillow_inr.report import charts
from pillow_inr.report.charts import HEIGHT, WIDTH, Axis, Place

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


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_everything_lies_within_the_drawing(values: list[float]) -> None:
    chart = charts.histogram(values, "Bytes", "bytes", "B")
    assert chart is not None
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and 0 <= bar.y <= HEIGHT for bar in chart.bars)
    for axis, end in ((chart.x, WIDTH), (chart.y, HEIGHT)):
        labels = [tick.label for tick in axis.ticks]
        assert 1 <= len(labels) <= charts.TICKS_MAX + 1
        assert len(set(labels)) == len(labels)
        assert all(0 <= tick.at <= end for tick in axis.ticks)


def test_no_image_is_lost_in_the_bins() -> None:
    for values in (np.random.default_rng(0).lognormal(0, 3, 1000).tolist(), [5.0, 5.0, 5.0], [1.0, 2.0]):
        chart = charts.histogram(values, "Time", "seconds", "s")
        assert chart is not None
        assert sum(int(bar.text.split()[-2].replace(",", "")) for bar in chart.bars) == len(values)
        assert len(chart.bars) <= charts.BINS_MAX


def test_wide_ranges_are_logarithmic() -> None:
    assert Axis.spanning([1.0, 1000.0], 0, 100).log
    assert not Axis.spanning([1.0, 30.0], 0, 100).log
    assert not Axis.spanning([0.0, 1000.0], 0, 100).log
    axis = Axis(1.0, 100.0, 0, 100, log=True)
    assert (axis.at(1), axis.at(10), axis.at(100)) == (0, 50, 100)
    assert [tick.label for tick in axis.ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [tick.label for tick in Axis(22.0, 34.0, 0, 1).ticks] == ["22", "24", "26", "28", "30", "32", "34"]


def test_counts_have_whole_ticks() -> None:
    chart = charts.histogram([1.0, 2.0], "PSNR", "dB", "dB")
    assert chart is not None
    assert [tick.label for tick in chart.y.ticks] == ["0", "1"]


def test_images_that_are_shown_lie_on_top() -> None:
    chart = charts.scatter([Place(1, 30, "a", "image-1", "worst"), Place(2, 32, "b")])
    assert chart is not None
    assert [point.text for point in chart.points] == ["b", "a"]
    assert chart.points[0].x > chart.points[1].x and chart.points[0].y < chart.points[1].y


def test_nothing_is_drawn_of_nothing() -> None:
    assert charts.histogram([], "Bytes", "bytes", "B") is None
    assert charts.scatter([]) is None
