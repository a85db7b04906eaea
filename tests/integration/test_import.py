"""What a fresh interpreter loads: opening must not import TensorFlow, and importing not even NumPy."""

import pytest

from tests.support.checks import VECTORS, fresh


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
