"""What a fresh interpreter loads: opening must not import TensorFlow, and importing not even NumPy."""

import pytest

from tests.support.checks import VECTORS, fresh

pytestmark = pytest.mark.quick


def test_import_loads_nothing_heavy() -> None:
    heavy = ["numpy", "constriction", "imageio", "rich", "click", "keras", "tensorflow"]
    assert fresh(f"import sys, pillow_inr; print([name for name in {heavy} if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "opening",
    [
        "from PIL import Image; Image.open({path!r}).load()",
        "pillow_inr.decode({path!r})",
        "import imageio.v3 as iio; iio.imread({path!r})",
        "import imageio.v2 as imageio; imageio.imread({path!r})",
    ],
)
def test_opening_never_loads_tensorflow(opening: str) -> None:
    if "imageio" in opening:
        pytest.importorskip("imageio")
    path = str(VECTORS / "rgb.inr")
    code = f"import sys, pillow_inr; {opening.format(path=path)}; print({{'keras', 'tensorflow'}} & set(sys.modules))"
    assert fresh(code) == "set()"


def test_header_needs_no_numpy() -> None:
    path = str(VECTORS / "rgb.inr")
    code = f"import sys, pillow_inr; from PIL import Image; print(Image.open({path!r}).size, 'numpy' in sys.modules)"
    assert fresh(code).endswith("False")


@pytest.mark.parametrize("first", ["imageio", "pillow_inr"])
def test_imageio_knows_the_extension_in_either_order(first: str) -> None:
    pytest.importorskip("imageio")
    second = {"imageio": "pillow_inr", "pillow_inr": "imageio"}[first]
    code = f"import {first}, {second}, imageio.config as c; print([e.priority for e in c.known_extensions['.inr']])"
    assert fresh(code) == "[['inr', 'pillow']]"


@pytest.mark.parametrize(
    ("path", "model", "other"), [("rgb.inr", "siren", "pyramid"), ("pyramid/rgb.inr", "pyramid", "siren")]
)
def test_a_model_is_opened_without_the_other_and_without_writers(path: str, model: str, other: str) -> None:
    code = (
        f"import sys, pillow_inr; pillow_inr.decode({str(VECTORS / path)!r})\n"
        "names = sorted(name.removeprefix('pillow_inr.models.') for name in sys.modules if '.models.' in name)\n"
        "print(*names)"
    )
    loaded = fresh(code).split()
    assert f"{model}.model" in loaded
    assert not [name for name in loaded if name.startswith(f"{other}.") and name != f"{other}.header"]
    assert not {f"{model}.encoder", f"{model}.plan", f"{model}.breakdown", f"{model}.canonical"} & set(loaded)
    assert "pillow_inr.entropy.scale_search" not in fresh(code.replace("'.models.' in name", "True")).split()


def test_cost_is_an_attribute_of_the_package() -> None:
    path = str(VECTORS / "rgb.inr")
    assert int(fresh(f"import pillow_inr; print(pillow_inr.cost.of_file(pillow_inr.read_header({path!r})).work)")) > 0
