"""The Python examples in README.md and docs/guide.md run as written, in order."""

import re
import shutil
import warnings
from pathlib import Path

import pytest
from PIL import Image

from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.siren import plan as siren_plan
from tests.support.checks import SAMPLES

ROOT = Path(__file__).parents[2]


@pytest.mark.keras
@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imageio", "numcodecs"):
        pytest.importorskip(module)
    with Image.open(SAMPLES / "kodim15.png") as image:
        image.crop((300, 100, 492, 228)).resize((96, 64)).save(tmp_path / "photo.png")
    shutil.copy(SAMPLES / "kodim15.inr", tmp_path)
    monkeypatch.chdir(tmp_path)
    # Only the fits are shortened.
    for plan in (siren_plan, pyramid_plan):
        monkeypatch.setattr(plan, "EFFORT_SECONDS", (0.2,) * len(plan.EFFORT_SECONDS))
    monkeypatch.setattr(pyramid_plan, "EFFORT_STEPS", (5, 10))
    monkeypatch.setattr(Image.Image, "show", lambda image: image.load())
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    assert examples
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # examples leave closing to the interpreter
        for number, example in enumerate(examples):
            exec(compile(example, f"{page}, example {number + 1}", "exec"), names)
