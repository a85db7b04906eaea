"""The Python examples in README.md and docs/guide.md run as written, in order."""

import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pillow_inr import codec
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.models.pyramid import encoder as pyramid_encoder
from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.models.siren import encoder as siren_encoder
from pillow_inr.models.siren.plan import Plan
from pillow_inr.options import EncodeOptions
from tests.support.checks import QUICK, SAMPLES
from tests.support.fits import LARGER_SIZE

ROOT = Path(__file__).parents[2]


def _shortened(make: Callable[..., Plan]) -> Callable[..., Plan]:
    """Plan the network of other tests' fits, with a budget that is of use to so small a one."""

    def plan(*given: Any) -> Plan:
        found = make(*given)
        budget = found.budget_bytes and min(found.budget_bytes, 400)
        return replace(found, width=QUICK["width"], depth=QUICK["depth"], steps=150, budget_bytes=budget)

    return plan


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour images get short fits, of SIRENs of one shape; all others are stored as their mean colour."""
    encode_source = codec.encode_source

    def encode(source: SourceImage, options: EncodeOptions) -> Encoded:
        return encode_source(source, options) if source.channels == 3 else encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode)
    for name in ("make_plan", "plan_for_weights"):
        monkeypatch.setattr(siren_encoder, name, _shortened(getattr(siren_encoder, name)))
    monkeypatch.setattr(pyramid_plan, "EFFORT_STEPS", (0, *[2] * (len(pyramid_plan.EFFORT_STEPS) - 1)))
    monkeypatch.setattr(pyramid_plan, "SMALL_FACTOR_MAX", 1.0)
    monkeypatch.setattr(pyramid_encoder, "UNANALYSED_STEPS", 4)


@pytest.mark.keras
@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("page", ["docs/guide.md", "README.md"])
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imageio", "numcodecs", "zarr"):
        pytest.importorskip(module)
    with Image.open(SAMPLES / "kodim15.png") as image:
        image.crop((300, 100, 492, 244)).resize(LARGER_SIZE).save(tmp_path / "photo.png")
    shutil.copy(SAMPLES / "kodim15.inr", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Image.Image, "show", lambda image: image.load())
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    assert examples
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # examples leave closing to the interpreter
        for number, example in enumerate(examples):
            exec(compile(example, f"{page}, example {number + 1}", "exec"), names)
