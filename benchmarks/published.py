"""The rate of files in the CSV of rd.py over a published codec's at equal PSNR, image by image.

    python benchmarks/published.py build/rd/rd.csv cool_chic_5_kodak.tsv

The table of published points has a line for each image and setting with the columns seq_name, psnr_db and rate_bpp. The
published rate at a file's PSNR is interpolated (PCHIP, logarithm of the rate). A file outside the published PSNRs is
left out. Rows are the labels and settings of the CSV; their mean is geometric.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from statistics import geometric_mean

from common import table
from curves import Curve, rate_at
from rd_report import read_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="rd.csv")
    parser.add_argument("published", type=Path, help="table of published points, columns apart by tabs")
    arguments = parser.parse_args()
    curves = _curves(arguments.published)
    over: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in read_rows(arguments.results):
        image = Path(row.image).stem
        rate = rate_at(curves[image], row.psnr) if image in curves else None
        if rate is not None:
            over[row.label, row.setting][image] = row.bpp / rate
    images = sorted({image for ratios in over.values() for image in ratios})
    lines = []
    for (label, setting), ratios in over.items():
        mean = geometric_mean(ratios.values())
        each = [_percent(ratios[image]) if image in ratios else "" for image in images]
        lines.append([label, setting, str(len(ratios)), _percent(mean), *each])
    print(table(["label", "setting", "images", "mean", *images], lines))


def _curves(path: Path) -> dict[str, Curve]:
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for line in csv.DictReader(file, delimiter="\t"):
            curves[line["seq_name"]].append((float(line["rate_bpp"]), float(line["psnr_db"])))
    return dict(curves)


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


if __name__ == "__main__":
    main()
