"""`register` and `unregister` add and remove all entries in Pillow and imageio."""

import types
from collections.abc import Iterator

import pytest
from PIL import Image, UnidentifiedImageError

import pillow_inr
from tests.support.checks import VECTORS, fresh

RGB = VECTORS / "rgb.inr"


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    yield
    pillow_inr.register()


def _traces() -> list[str]:
    registries = {name: getattr(Image, name) for name in ("OPEN", "ID", "SAVE", "SAVE_ALL", "EXTENSION", "MIME")}
    return [name for name, registry in registries.items() if "INR" in registry or ".inr" in registry]


def test_unregister_leaves_no_trace_in_pillow() -> None:
    Image.init()
    for _ in range(2):
        pillow_inr.unregister()
        assert _traces() == []
        assert "INR" not in Image.EXTENSION.values()
        with pytest.raises(UnidentifiedImageError):
            Image.open(RGB)
        with pytest.raises(ValueError, match="unknown file extension"):
            Image.new("L", (1, 1)).save("never_written.inr")


def test_register_afterwards_works_again() -> None:
    pillow_inr.unregister()
    for _ in range(2):
        pillow_inr.register()
        assert len(_traces()) == 6
        assert Image.ID.count("INR") == 1
        with Image.open(RGB) as image:
            image.load()


def test_imageio_forgets_and_learns_again() -> None:
    config = pytest.importorskip("imageio.config")
    extensions = [entry for entry in config.extension_list if entry.extension != ".inr"]
    for _ in range(2):
        pillow_inr.unregister()
        assert ".inr" not in config.known_extensions
        assert "inr" not in config.known_plugins
        assert config.extension_list == extensions
    for _ in range(2):
        pillow_inr.register()
        assert len(config.known_extensions[".inr"]) == 1
        assert len(config.extension_list) == len(extensions) + 1


def test_entries_of_others_stay() -> None:
    config = pytest.importorskip("imageio.config")
    other = config.FileExtension(name="INRIMAGE volume", extension=".inr", priority=["ITK"])
    config.known_extensions[".inr"].append(other)
    pillow_inr.register()
    assert len(config.known_extensions[".inr"]) == 2
    pillow_inr.unregister()
    assert config.known_extensions.pop(".inr") == [other]


def test_an_entry_of_the_plugin_goes_too() -> None:
    config = pytest.importorskip("imageio.config")
    config.known_plugins["inr"] = types.SimpleNamespace()
    pillow_inr.unregister()
    assert "inr" not in config.known_plugins


def test_unregister_before_imageio_is_imported() -> None:
    pytest.importorskip("imageio")
    code = """
import sys, pillow_inr
def waiting():
    return [finder.names for finder in sys.meta_path if type(finder).__name__ == "AfterImport"]
assert waiting() == [["imageio.config"], ["mimetypes"]]
pillow_inr.unregister()
assert waiting() == [(), ()]
{then}
import imageio
print(".inr" in imageio.config.known_extensions)
"""
    assert fresh(code.format(then="")) == "False"
    assert fresh(code.format(then="pillow_inr.register()")) == "True"


@pytest.mark.parametrize(
    "order",
    [
        "import pillow_inr, mimetypes",
        "import mimetypes, pillow_inr",
        "import mimetypes; mimetypes.init(); import pillow_inr",
    ],
)
def test_mimetypes_knows_the_type_in_any_order(order: str) -> None:
    guess = "print(mimetypes.guess_type('x.inr')[0], mimetypes.guess_type('a/X.INR')[0])"
    assert fresh(f"{order}; {guess}") == "image/x-inr image/x-inr"
    assert fresh(f"{order}; print(mimetypes.guess_extension('image/x-inr'))") == ".inr"
    assert fresh(f"{order}; pillow_inr.unregister(); {guess}") == "None None"
    assert fresh(f"{order}; pillow_inr.unregister(); pillow_inr.register(); {guess}") == "image/x-inr image/x-inr"


def test_mimetypes_is_not_imported_for_it() -> None:
    assert fresh("import sys, pillow_inr; print('mimetypes' in sys.modules)") == "False"


def test_public_names_wait_until_they_are_used() -> None:
    code = """
import sys, pillow_inr
heavy = {"dataclasses", "tempfile", "pathlib", "pillow_inr.api", "pillow_inr.plugins.pillow", "PIL.ImageFile"}
print(heavy & set(sys.modules), set(pillow_inr.__all__) <= set(dir(pillow_inr)), pillow_inr.Header.__name__)
"""
    assert fresh(code).endswith("True Header")


def test_every_public_name_is_there_and_no_other() -> None:
    for name in pillow_inr.__all__:
        assert getattr(pillow_inr, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'decodee'"):
        _ = pillow_inr.decodee  # type: ignore[attr-defined]
    namespace: dict[str, object] = {}
    exec("from pillow_inr import *", namespace)
    assert namespace["decode"] is pillow_inr.decode
