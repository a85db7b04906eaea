"""The examples in docstrings are correct. List each module that has one here."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    "entropy.distributions",
    "entropy.quantization",
    "imaging.coordinates",
    "models.pyramid.context",
    "models.siren.architecture",
    "models.siren.canonical",
    "models.siren.weight_coders",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    outcome = doctest.testmod(import_module(f"pillow_inr.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
