"""What the fit of a tile gains by the networks of the tile beside it: two tiles from each photograph.

Alone; started from those networks; and coded as differences from them, too, as encoders do.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from common import image_paths, machine, rgb_image
from numpy.typing import NDArray

from pillow_inr.imaging.samples import Scale
from pillow_inr.models.pyramid.plan import PRESET, base_index_for
from pillow_inr.models.pyramid.training.fit import Fitted, fit

SCALE = Scale("uint8", 3, ((0.0, 255.0),))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs, each at least two tiles wide")
    parser.add_argument("--side", type=int, default=512, help="of a tile; both lie in the middle of the photograph")
    parser.add_argument("--steps", type=int, default=75)
    parser.add_argument("--rd-lambda", type=float, default=1e-3)
    arguments = parser.parse_args()
    print(machine())
    for path in image_paths(arguments.folder):
        first, second = _tiles(np.asarray(rgb_image(path)), arguments.side)

        def fitted(tile: NDArray[np.uint8], start: Fitted | None = None, base: Fitted | None = None) -> Fitted:
            return fit(
                tile,
                scale=SCALE,
                preset=PRESET,
                base_index=base_index_for(arguments.rd_lambda),
                rd_lambda=arguments.rd_lambda,
                steps=arguments.steps,
                base=None if base is None else base.tensors,
                networks=None if start is None else start.networks,
            )

        def described(found: Fitted) -> str:
            rate = found.rate_bits / arguments.side**2
            loss = math.log(10 ** (-found.psnr_db / 10) + arguments.rd_lambda * rate)
            return f"log(loss) {loss:.3f}, {found.psnr_db:.2f} dB, {found.rate_bits / 8:.0f} bytes"

        beside = fitted(first)
        print(f"{path.name}: alone {described(fitted(second))}")
        print(f"  started from the tile beside: {described(fitted(second, beside))}")
        print(f"  and coded against it: {described(fitted(second, beside, beside))}", flush=True)


def _tiles(photograph: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    top, left = photograph.shape[0] // 2 - side // 2, photograph.shape[1] // 2 - side
    rows = photograph[top : top + side]
    return rows[:, left : left + side], rows[:, left + side : left + 2 * side]


if __name__ == "__main__":
    main()
