"""The names at the root of the package."""

import importlib

import pillow_inr


def test_all_public_names_are_listed_and_there() -> None:
    assert set(pillow_inr.__all__) <= set(dir(pillow_inr))
    for name in pillow_inr.__all__:
        assert getattr(pillow_inr, name) is not None


def test_names_that_other_programs_import() -> None:
    for module, names in (
        ("cost", ["Cost", "of_file"]),
        ("limits", ["WORK_MAX"]),
        ("batch", ["encode_many"]),
        ("numcodecs_codec", ["InrCodec"]),
    ):
        found = importlib.import_module(f"pillow_inr.{module}")
        assert getattr(pillow_inr, module) is found
        assert all(hasattr(found, name) for name in names)
