"""What large SIRENs lack, steps or capacity: error against core-seconds, for one network of the whole image.

Each network is fitted for several lengths, without rounding and with rounded weights from the start of the schedule,
each with a whole schedule of its own. Core-seconds are those of the process, compiling left out.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from common import machine, rgb_image, table
from numpy.typing import NDArray

from pillow_inr.imaging.metrics import psnr_db
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.siren.architecture import TAPER_NONE, Architecture
from pillow_inr.models.siren.training.fit import RATE_PHASE_START
from pillow_inr.models.siren.training.trainer import BATCH_PIXELS, WEIGHT_DECAY, Trainer, peak_learning_rate

# Optimizer steps that show what one takes.
TRIAL_STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--networks", nargs="+", default=["64x5", "96x4", "128x4", "192x4", "256x5"])
    parser.add_argument("--taper", type=int, default=TAPER_NONE)
    parser.add_argument("--core-seconds", nargs="+", type=float, default=[20, 80, 320])
    parser.add_argument("--rd-lambda", type=float, default=1e-3, help="where weights are rounded")
    parser.add_argument("--only", choices=["float", "rounded"])
    arguments = parser.parse_args()
    print(machine(), flush=True)
    image = np.asarray(rgb_image(arguments.image))
    lines = []
    for network in arguments.networks:
        width, depth = map(int, network.split("x"))
        architecture = Architecture(
            width=width, depth=depth, channels=3, frequencies=12, frequency_ratio=155, taper=arguments.taper
        )
        trainer = Trainer(architecture, BATCH_PIXELS, 1 << (max(image.shape) - 1).bit_length(), "CPU:0")
        for rounded in (False, True):
            if arguments.only in (None, "rounded" if rounded else "float"):
                for budget in arguments.core_seconds:
                    lines.append([network, *_fit(trainer, architecture, image, rounded, budget, arguments.rd_lambda)])
                    print(*lines[-1], flush=True)
    print(table(["network", "weights", "rounded", "steps", "core s", "PSNR dB", "bpp"], lines))


def _fit(
    trainer: Trainer,
    architecture: Architecture,
    image: NDArray[np.uint8],
    rounded: bool,
    budget: float,
    rd_lambda: float,
) -> list[str]:
    """One fit of about this many core-seconds: cells of the table."""
    scale = Scale("uint8", 3, ((0.0, 255.0),))
    rate = peak_learning_rate(architecture.width)

    def start() -> None:
        trainer.start(image, scale, architecture, rd_lambda, 0, rate, WEIGHT_DECAY)

    start()
    started = time.process_time()
    trainer.advance(0, min(TRIAL_STEPS, trainer.call_steps), 0.0, 0.0, rounded)
    steps = int(budget * min(TRIAL_STEPS, trainer.call_steps) / (time.process_time() - started))
    start()
    started = time.process_time()
    step, phase, mse, bits = 0, False, 0.0, 0.0
    errors: list[float] = []
    while step < steps:
        if rounded and not phase and step >= RATE_PHASE_START * steps:
            trainer.start_rate_phase()
            phase = True
        count = min(trainer.call_steps, steps - step)
        mse, bits = trainer.advance(step, count, step / steps, (step + count) / steps, phase)
        step += count
        errors.append(mse)
    seconds = time.process_time() - started
    trainer.release()
    last = float(np.mean(errors[-max(1, image.size // 3 // (BATCH_PIXELS * trainer.call_steps)) :]))
    rate_text = f"{bits / (image.size / 3):.3f}" if rounded else "-"
    cells = [str(architecture.weight_count), "yes" if rounded else "no", str(steps), f"{seconds:.0f}"]
    return [*cells, f"{psnr_db(last):.2f}", rate_text]


if __name__ == "__main__":
    main()
