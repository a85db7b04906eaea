"""Tables and plot of the CSV of `rd.py`: mean curves, PSNR at given rates, BD-rates."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")  # draws to a file; needs no display
import matplotlib.pyplot as plt
import numpy as np
from common import table
from curves import Curve, bd_rate, overlap, psnr_at, rate_at

# Labels of the curves in the anchors' JSON.
ANCHOR_LABELS = {
    "COIN": "COIN (published)",
    "Strumpler-basic-8bit": "Strümpler (published)",
    "Strumpler-metalearned-7bit": "Strümpler, meta (published)",
    "NIF25-psnr": "NIF25 (published)",
    "RECOMBINER": "RECOMBINER (published)",
    "C3": "C3 (published)",
    "Cool-chic-5.0.1": "Cool-chic 5 (published)",
}
ANCHOR_NAMES = list(ANCHOR_LABELS)
REFERENCES = {"jpeg": "JPEG 4:2:0", "avif": "default AVIF"}
RATES = (0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
# COIN's mean over Kodak at 0.611 bpp (its results.json).
COIN_PSNR = 28.408
PLOT_RATES = (0.04, 2.5)
PLOT_PSNRS = (21.0, 42.0)


class Row(NamedTuple):
    """One line of the CSV: an image coded at one setting."""

    codec: str
    label: str
    """Name of its curve: a codec, or a sweep of pillow_inr."""
    setting: str
    image: str
    width: int
    height: int
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float
    encode_seconds: float
    encode_cpu_seconds: float
    """Of all threads."""
    decode_seconds: float

    @property
    def core_seconds_per_megapixel(self) -> float:
        """CPU time of an encode."""
        return self.encode_cpu_seconds / (self.width * self.height / 1e6)


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [_parse(line) for line in csv.DictReader(file)]


def _parse(line: Mapping[str, str]) -> Row:
    return Row(**{name: kind(line[name]) for name, kind in Row.__annotations__.items()})


class Sweep:
    """Rows of one label on the images that all labels share: one per setting and image."""

    def __init__(self, rows: Sequence[Row], images: Sequence[str]) -> None:
        self.label = rows[0].label
        self.codec = rows[0].codec
        by_setting: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row.image in images:
                by_setting[row.setting].append(row)
        self.settings = sorted(by_setting.items(), key=lambda item: self._mean(item[1], "bpp"))
        self.mean_curve = [(self._mean(rows, "bpp"), self._mean(rows, "psnr")) for _, rows in self.settings]

    @staticmethod
    def _mean(rows: Sequence[Row], field: str) -> float:
        return float(np.mean([getattr(row, field) for row in rows]))

    def means(self) -> list[list[str]]:
        """Lines of the table of mean curves, one per setting."""
        formats = (("bpp", ".4f"), ("psnr", ".2f"), ("ms_ssim", ".4f"), ("encode_seconds", ".3f"))
        formats += (("encode_cpu_seconds", ".1f"), ("core_seconds_per_megapixel", ".2f"))
        formats += (("decode_seconds", ".4f"),)
        return [
            [self.label, setting, *(format(self._mean(rows, field), width) for field, width in formats)]
            for setting, rows in self.settings
        ]

    def image_curve(self, image: str) -> Curve:
        return [(row.bpp, row.psnr) for _, rows in self.settings for row in rows if row.image == image]


def report(path: Path, anchor_files: Sequence[Path], anchor_names: Sequence[str], window: tuple[float, float]) -> None:
    """Print the tables of a CSV and draw its plot beside it."""
    rows = read_rows(path)
    sweeps, images = _sweeps(rows)
    anchors = _anchors(anchor_files, anchor_names)
    curves = {sweep.label: sweep.mean_curve for sweep in sweeps} | anchors
    print(f"\n{len(images)} images: {', '.join(images)}")
    if anchors:
        print("Published curves are their authors' means over all 24 images of Kodak.")
    header = ["codec", "setting", "bpp", "PSNR dB", "MS-SSIM", "encode s", "CPU s", "core-s/MP", "decode s"]
    print("\nMean over the images\n\n" + table(header, [line for sweep in sweeps for line in sweep.means()]))
    print("\nPSNR of the mean curves in dB at a rate in bpp; the rate for COIN's mean\n\n" + _rate_table(curves))
    for codec, name in REFERENCES.items():
        reference = next((sweep for sweep in sweeps if sweep.codec == codec), None)
        if reference is not None:
            print(
                f"\nBD-rate against {name} in percent, {window[0]:g} to {window[1]:g} dB, Akima; below 0: fewer bytes\n"
            )
            print(_bd_table(reference, sweeps, anchors, images, window))
    plot = path.with_suffix(".png")
    _draw(sweeps, anchors, len(images), plot)
    print(f"\n{plot}")


def _sweeps(rows: Sequence[Row]) -> tuple[list[Sweep], list[str]]:
    """A sweep per label, pillow_inr's first, and the images that every label has at all its settings."""
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row.label].append(row)
    complete = {label: _complete_images(given) for label, given in by_label.items()}
    images = sorted(set.intersection(*complete.values())) if complete else []
    left_out = sorted({row.image for row in rows} - set(images))
    if left_out:
        print(f"Left out, because some codec lacks them at some setting: {', '.join(left_out)}")
    if not images:
        raise SystemExit("no image has all settings of all codecs")
    sweeps = [Sweep(given, images) for given in by_label.values()]
    return sorted(sweeps, key=lambda sweep: sweep.codec != "pillow_inr"), images


def _complete_images(rows: Sequence[Row]) -> set[str]:
    settings = {row.setting for row in rows}
    seen: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        seen[row.image].add(row.setting)
    return {image for image, has in seen.items() if has == settings}


def _anchors(files: Sequence[Path], names: Sequence[str]) -> dict[str, Curve]:
    """Published curves by label. A file holds {name: [{"bpp": ..., "psnr": ...}, ...]}."""
    known: dict[str, list[dict[str, float]]] = {}
    for file in files:
        known |= json.loads(file.read_text())
    return {
        ANCHOR_LABELS.get(name, name): [(point["bpp"], point["psnr"]) for point in known[name]]
        for name in names
        if known.get(name)
    }


def _rate_table(curves: Mapping[str, Curve]) -> str:
    header = ["codec", *(f"{rate:g} bpp" for rate in RATES), f"bpp at {COIN_PSNR:.1f} dB"]
    lines = []
    for label, curve in curves.items():
        cells = [_cell(psnr_at(curve, rate), ".2f") for rate in RATES]
        lines.append([label, *cells, _cell(rate_at(curve, COIN_PSNR), ".3f")])
    return table(header, lines)


def _bd_table(
    reference: Sweep,
    sweeps: Sequence[Sweep],
    anchors: Mapping[str, Curve],
    images: Sequence[str],
    window: tuple[float, float],
) -> str:
    header = ["codec", "mean curves %", "over dB", "mean of images %", "images"]
    lines = []
    for sweep in sweeps:
        rates = [bd_rate(reference.image_curve(name), sweep.image_curve(name), window) for name in images]
        found = [rate for rate in rates if rate is not None]
        mean = _cell(float(np.mean(found)) if found else None, "+.1f")
        lines.append([*_bd_cells(sweep.label, reference.mean_curve, sweep.mean_curve, window), mean, str(len(found))])
    for label, curve in anchors.items():
        lines.append([*_bd_cells(label, reference.mean_curve, curve, window), "-", "-"])
    return table(header, lines)


def _bd_cells(label: str, reference: Curve, curve: Curve, window: tuple[float, float]) -> list[str]:
    covered = overlap(reference, curve, window)
    over = f"{covered[0]:.1f} to {covered[1]:.1f}" if covered else "-"
    return [label, _cell(bd_rate(reference, curve, window), "+.1f"), over]


def _cell(value: float | None, width: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, width)


def _draw(sweeps: Sequence[Sweep], anchors: Mapping[str, Curve], images: int, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    colours = plt.get_cmap("tab10").colors
    # pillow_inr is thick and in front, classical codecs are thin, published curves dashed.
    for index, sweep in enumerate(sweeps):
        ours = sweep.codec == "pillow_inr"
        style = {"linewidth": 2.6, "marker": "o", "zorder": 3} if ours else {"linewidth": 1.3}
        axes.plot(*np.transpose(sweep.mean_curve), label=sweep.label, color=colours[index % len(colours)], **style)
    markers = "s^vDPX*"
    for index, (label, curve) in enumerate(anchors.items()):
        grey = 0.15 + 0.5 * index / max(1, len(anchors) - 1)
        style = {"color": str(grey), "linestyle": "--", "marker": markers[index % len(markers)], "markersize": 5}
        axes.plot(*np.transpose(sorted(curve)), label=label, linewidth=1.1, **style)
    ticks = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlim=PLOT_RATES, ylim=PLOT_PSNRS, xlabel="bits per pixel of the whole file", ylabel="RGB PSNR in dB")
    axes.set_title(f"Mean over {images} image{'s' if images > 1 else ''}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
