"""The context model against plain integers; decoding by wavefronts against the whole grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pillow_inr.models.pyramid import context, latent_coding, structure
from pillow_inr.models.pyramid.context import ContextModel, Predictions, decode_grid, predict_grid, wavefronts
from tests.support import plain_pyramid
from tests.support.pyramids import draw_grids, draw_weight_residuals

BOTH = pytest.mark.parametrize("preset", range(len(structure.PRESETS)))


def _tensors(seed: int = 0, preset: int = 0) -> dict[str, np.ndarray]:
    drawn = draw_weight_residuals(np.random.default_rng(seed), 3, 30, preset)
    return latent_coding.apply(structure.base_weights(preset, 0, 3), drawn)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (4, 7), (7, 4), (3, 3)])
def test_wavefronts_cover_a_grid(shape: tuple[int, int]) -> None:
    seen = [(row, wavefront - 2 * row) for wavefront, rows in enumerate(wavefronts(shape)) for row in range(*rows)]
    assert sorted(seen) == [(row, column) for row in range(shape[0]) for column in range(shape[1])]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [1.0, 1000.0])
@BOTH
def test_predictions_are_those_of_plain_integers(seed: int, spread: float, preset: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = _tensors(seed, preset)
    model = ContextModel(tensors, preset)
    contexts = np.rint(rng.laplace(0, spread, (structure.PRESETS[preset].contexts, 40))).clip(-4095, 4095)
    for level in range(7):
        predicted = model.predict(contexts[:12], model.cross_terms(level, contexts[12:]))
        plain = {name: values.ravel().tolist() for name, values in tensors.items()}
        for index in range(40):
            vector = contexts[:, index].astype(int).tolist()
            mean, fraction, scale = plain_pyramid.distribution(plain, level, vector)
            assert (predicted.means[index], predicted.rows[index]) == (mean, (scale + 32) * 16 + fraction + 8)


@BOTH
def test_the_largest_integers_are_exact(preset: int) -> None:
    """Tensors and contexts at their limits, with signs that add up and signs that cancel."""
    rng = np.random.default_rng(0)
    tensors = {
        name: (structure.CONTEXT_LIMIT - 1 - rng.integers(0, 3, shape)) * rng.choice([-1, 1], shape)
        for name, shape in structure.shapes(preset, 3).items()
    }
    for signs in (np.abs, lambda values: values):
        chosen = {name: signs(values) for name, values in tensors.items()}
        # Smaller output weights, since otherwise all outputs would be clipped.
        chosen["a3"] = chosen["a3"] // 2 ** rng.integers(0, 21, chosen["a3"].shape)
        model = ContextModel(chosen, preset)
        contexts = signs(rng.integers(-4095, 4096, (structure.PRESETS[preset].contexts, 200)).astype(float))
        predicted = model.predict(contexts[:12], model.cross_terms(3, contexts[12:]))
        plain = {name: values.ravel().tolist() for name, values in chosen.items()}
        for index in range(200):
            mean, fraction, scale = plain_pyramid.distribution(plain, 3, contexts[:, index].astype(int).tolist())
            assert (predicted.means[index], predicted.rows[index]) == (mean, (scale + 32) * 16 + fraction + 8)


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_wavefronts_see_what_the_whole_grid_sees(rows: int, columns: int, level: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    preset = seed % 2
    model = ContextModel(_tensors(preset=preset), preset)
    grids = draw_grids(rng, (columns, rows))
    coarser = grids[1 : 7 - level]
    expected = predict_grid(model, level, grids[0], coarser)
    order = iter(
        [
            (row, wavefront - 2 * row)
            for wavefront, span in enumerate(wavefronts((rows, columns)))
            for row in range(*span)
        ]
    )

    def decode_wavefront(predicted: Predictions) -> np.ndarray:
        places = [next(order) for _ in predicted.means]
        index = [row * columns + column for row, column in places]
        assert (predicted.means == expected.means[index]).all()
        assert (predicted.rows == expected.rows[index]).all()
        return np.array([grids[0][place] for place in places])

    assert (decode_grid(model, level, (rows, columns), coarser, decode_wavefront) == grids[0]).all()


@pytest.mark.parametrize("batch", [1, 40, 10**6])
@BOTH
def test_predictions_do_not_depend_on_the_batch(batch: int, preset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ContextModel(_tensors(preset=preset), preset)
    grids = draw_grids(np.random.default_rng(0), (23, 17))
    expected = predict_grid(model, 0, grids[0], grids[1:])
    monkeypatch.setattr(context, "_BATCH", batch)
    found = predict_grid(model, 0, grids[0], grids[1:])
    assert (found.means == expected.means).all() and (found.rows == expected.rows).all()
