"""The program that trains the analysis network computes what the package computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pillow_inr.models.pyramid import analysis, structure
from pillow_inr.models.pyramid.plan import ANALYSED_BASES, PRESET
from tests.support.checks import SAMPLES

pytest.importorskip("tensorflow")

pytestmark = pytest.mark.keras

SIDE = 64


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import train_analysis

    monkeypatch.setattr(train_analysis, "SIDES", (SIDE, SIDE))
    return train_analysis


def photograph() -> Any:
    with Image.open(SAMPLES / "kodim15.png") as opened:
        return np.asarray(opened.crop((300, 100, 300 + SIDE, 100 + SIDE)), np.float32) / 255


def test_latents_are_those_of_the_package(program: Any) -> None:
    image = photograph()
    weights = analysis.weights()
    trained = program.network(weights, image[None], analysis.conditions(1, 0.3))
    for latents, expected in zip(trained, analysis.analyse(image, 1, 0.3), strict=True):
        np.testing.assert_allclose(np.asarray(latents)[0], expected, atol=2e-3)


def test_error_and_bits_are_those_of_the_trainer(program: Any) -> None:
    from pillow_inr.models.pyramid.training.trainer import Trainer

    image = photograph()
    base = structure.as_floats(PRESET, structure.base_weights(PRESET, ANALYSED_BASES + 2, 3))
    grids = [np.rint(latents) for latents in analysis.analyse(image, 2)]
    error, bits = program.crop_costs(base, grids, image)
    trainer = Trainer(PRESET, 3, "CPU:0", tile=64)
    tiles = trainer.image(image)
    assert float(bits) == pytest.approx(trainer.bits(grids, tiles, base), rel=1e-4)
    # The trainer clips to 0..1.
    assert float(error) == pytest.approx(trainer.squared_error(grids, tiles, base), rel=0.02)


def test_a_run_goes_on_where_one_ended_and_leaves_what_the_package_takes(program: Any, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    with Image.open(SAMPLES / "kodim15.png") as opened:
        opened.crop((300, 100, 420, 200)).save(tmp_path / "photographs" / "a.png")
    arguments = [str(tmp_path / "photographs"), "--output", str(tmp_path / "output"), "--batch", "2"]
    for first, steps in (4, 3), (4, 6), (4, 8):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program, "FIRST_STEPS", first)
            patch.setattr(program, "FILTER_STEPS", 2)
            patch.setattr(program, "FIXED_STEPS", 3)
            patch.setattr("sys.argv", ["train_analysis.py", *arguments, "--steps", str(steps)])
            program.main()
    state = program._resumed(tmp_path / "output")
    assert (state.steps, state.optimizer.steps) == (8, 4)
    assert np.load(tmp_path / "output" / "analysis.npy").shape == np.load(analysis._FILE).shape
    made = (tmp_path / "output" / "base_weights_1.bin").read_bytes()
    kept = structure.base_weights_path(PRESET).read_bytes()
    assert len(made) == len(kept)
    assert made[: len(made) // 2] == kept[: len(kept) // 2]


def test_the_second_part_begins_with_what_the_first_computes(program: Any) -> None:
    image = photograph()
    state = program._resumed(Path("nowhere"))
    random = np.random.default_rng(0)
    for name in state.network:  # latents begin at 0
        if name.startswith("grid"):
            state.network[name] = np.float32(0.1 * random.standard_normal(state.network[name].shape))
    state.begin_part()
    before = program.network(state.network, image[None], analysis.conditions(program.FIRST_BASE, 0.0))
    decoded_before, _ = program.crop_costs(state.bases[program.FIRST_BASE], [grid[0] for grid in before], image)
    program._spread(state)
    for index in range(len(state.bases)):
        latents = program.network(state.network, image[None], analysis.conditions(index, 0.0))
        size = 4 ** (program.SYMBOL_POWER * (program.FIRST_BASE - index))
        np.testing.assert_allclose(latents[1], np.asarray(before[1]) * size, rtol=1e-3, atol=1e-5)
        decoded, _ = program.crop_costs(state.bases[index], [grid[0] for grid in latents], image)
        assert float(decoded) == pytest.approx(float(decoded_before), rel=1e-3)
