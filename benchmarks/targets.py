"""Random pairs of an image crop and a budget: is `target_bytes` kept, how much of it is used, and at which PSNR?

Budgets take a few values, evenly spaced in their logarithm: each leads to a network shape of its own, and compiling
one takes seconds. Exits with 1 if a file exceeds its budget.
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from common import decoded, image_paths, machine, psnr, rgb_image, table
from PIL import Image

import pillow_inr

SMALLEST_BUDGET = 100
# No more than `fit` keeps trainers, so that each shape compiles once.
BUDGETS = 8
# The share of a budget that should be used.
WELL_USED = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--crop", type=int, default=64, help="side of the crops in pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{machine()}; {options.pairs} pairs, crops of {options.crop} pixels, effort {options.effort}", flush=True)

    random_state = random.Random(options.seed)
    paths = image_paths(options.folder)
    budgets = _budgets(options.crop)
    start = time.perf_counter()
    rows: dict[int, list[tuple[float, float]]] = {budget: [] for budget in budgets}
    for seed in range(options.pairs):
        crop = _crop(rgb_image(random_state.choice(paths)), options.crop, random_state)
        budget = random_state.choice(budgets)
        data = pillow_inr.encode(crop, target_bytes=budget, effort=options.effort, seed=seed)
        rows[budget].append((len(data) / budget, psnr(np.asarray(crop), decoded(data))))
        if len(data) > budget:
            print(f"exceeded: {len(data)} bytes, budget {budget}, pair {seed}", flush=True)
    every = [pair for pairs in rows.values() for pair in pairs]
    exceeded = sum(share > 1 for share, _ in every)
    print(table(("budget", "pairs", "exceeded", "used min", "median", ">= 95 %", "PSNR dB"), _lines(rows, every)))
    print(f"{exceeded} of {len(every)} exceeded; {time.perf_counter() - start:.0f} s")
    sys.exit(1 if exceeded else 0)


def _budgets(side: int) -> list[int]:
    """From SMALLEST_BUDGET to a quarter of the raw bytes."""
    largest = max(side * side * 3 // 4, SMALLEST_BUDGET)
    return sorted({round(budget) for budget in np.geomspace(SMALLEST_BUDGET, largest, BUDGETS)})


def _crop(image: Image.Image, side: int, random_state: random.Random) -> Image.Image:
    left = random_state.randint(0, max(image.width - side, 0))
    top = random_state.randint(0, max(image.height - side, 0))
    return image.crop((left, top, min(left + side, image.width), min(top + side, image.height)))


def _lines(rows: dict[int, list[tuple[float, float]]], every: list[tuple[float, float]]) -> list[tuple[str, ...]]:
    named = [*((str(budget), pairs) for budget, pairs in rows.items() if pairs), ("all", every)]
    return [(name, *_figures(pairs)) for name, pairs in named]


def _figures(pairs: list[tuple[float, float]]) -> tuple[str, ...]:
    shares = [share for share, _ in pairs]
    used = statistics.mean(share >= WELL_USED for share in shares)
    return (
        str(len(pairs)),
        str(sum(share > 1 for share in shares)),
        f"{min(shares):.1%}",
        f"{statistics.median(shares):.1%}",
        f"{used:.0%}",
        f"{statistics.mean(quality for _, quality in pairs):.2f}",
    )


if __name__ == "__main__":
    main()
