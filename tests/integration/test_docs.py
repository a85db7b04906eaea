"""The Python examples in README.md and docs/guide.md run as written, in order."""

import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pillow_inr import codec
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.models.siren import encoder as siren_encoder
from pillow_inr.options import EncodeOptions
from tests.support.checks import SAMPLES
from tests.support.fits import LARGER_SIZE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour images get short fits, of SIRENs of one shape; all others are stored as their mean colour."""
    encode_source = codec.encode_source

    def encode(source: SourceImage, options: EncodeOptions) -> Encoded:
        return encode_source(source, options) if source.channels == 3 else encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode)
    for name in ("make_plan", "plan_for_weights"):
        make = getattr(siren_encoder, name)
        monkeypatch.setattr(
            siren_encoder, name, lambda *given, make=make: replace(make(*given), width=8, depth=2, steps=150)
        )
    monkeypatch.setattr(pyramid_plan, "EFFORT_SECONDS", (0.2,) * len(pyramid_plan.EFFORT_SECONDS))
    monkeypatch.setattr(pyramid_plan, "EFFORT_STEPS", (2, 4))


@pytest.mark.keras
@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("page", ["docs/guide.md", "README.md"])
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imageio", "numcodecs"):
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
