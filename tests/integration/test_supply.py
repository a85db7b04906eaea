"""What the package brings along: no use of the network, and only three dependencies for decoding."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pillow_inr
from tests.support.checks import QUICK, VECTORS, fresh

ROOT = Path(__file__).parents[2]
# Modules that reach the network, or run programs that may.
NETWORK = {"asyncio", "ftplib", "http", "multiprocessing", "requests", "smtplib", "socket", "socketserver", "ssl"}
NETWORK |= {"subprocess", "urllib", "urllib3", "webbrowser", "xmlrpc"}
# Packages that pip installs with --no-deps for decoding and for its tests.
DECODING = {"PIL", "constriction", "hypothesis", "numpy", "pillow_inr", "pytest"}

# Uses Python's audit events, which all packages raise. Binding is allowed, because urllib3, which TensorFlow imports
# indirectly, binds a socket to ::1 to find out whether there is IPv6.
FORBID = """
import sys
def forbid(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(forbid)
"""


def _imports(path: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports; "." for relative imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else str(node.module).partition(".")[0]


# A batch runs processes, with pipes between them; Zarr's codecs are coroutines.
ALLOWED = {"batch/local.py": {"multiprocessing"}, "plugins/zarr_codec.py": {"asyncio"}}


def test_nothing_imports_what_reaches_the_network() -> None:
    package = Path(pillow_inr.__file__).parent
    for path in package.rglob("*.py"):
        assert NETWORK & set(_imports(path)) <= ALLOWED.get(path.relative_to(package).as_posix(), set()), path.name


@pytest.mark.parametrize("call", ["connect(('127.0.0.1', 9))", "sendto(b'', ('127.0.0.1', 9))"])
def test_a_connection_would_be_noticed(call: str) -> None:
    with pytest.raises(AssertionError, match=r"socket\.(connect|sendto)"):
        fresh(f"{FORBID}\nimport socket\nwith socket.socket(type=socket.SOCK_DGRAM) as made: made.{call}")


def test_opening_connects_to_nothing() -> None:
    paths = [str(VECTORS / name) for name in ("rgb.inr", "described.inr", "pyramid/tiled.inr")]
    code = f"""{FORBID}
import pillow_inr
from PIL import Image
for path in {paths}:
    with Image.open(path) as image:
        image.load()
    assert pillow_inr.decode(path).shape[:2] == image.size[::-1]
print("decoded")
"""
    assert fresh(code) == "decoded"


@pytest.mark.keras
def test_saving_connects_to_nothing() -> None:
    code = f"""{FORBID}
import pillow_inr, warnings
from PIL import Image
warnings.simplefilter("ignore")  # from TensorFlow
image = Image.linear_gradient("L").resize((12, 9))
print(pillow_inr.decode(pillow_inr.encode(image, **{QUICK})).shape)
import tensorflow as tf
function = tf.function
# XLA was seen at work; the pyramid's graph takes longer to compile than to run as it is.
tf.function = lambda *given, jit_compile=None, **options: function(*given, **options)
print(pillow_inr.decode(pillow_inr.encode(image, model="pyramid", steps=5)).shape)
"""
    assert fresh(code) == "(9, 12)\n(9, 12)"


def test_tests_of_decoding_need_the_decoder_alone_and_cannot_be_skipped() -> None:
    """The same holds for their imports from tests/. Otherwise a missing package would leave vectors unchecked."""
    tests = ROOT / "tests"
    marked = [path for path in tests.rglob("test_*.py") if "pytestmark = pytest.mark.decoding\n" in path.read_text()]
    assert {"test_vectors", "test_codec", "test_pillow"} <= {path.stem for path in marked}
    waiting, seen = marked, set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        text = path.read_text(encoding="utf-8")
        assert "importorskip" not in text and "mark.skip" not in text, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                start = path.parents[node.level - 1] if node.level else ROOT
                folder = start / str(node.module or "").replace(".", "/")
                files = [folder.with_suffix(".py"), *(folder / f"{alias.name}.py" for alias in node.names)]
                waiting += [file for file in files if file.exists() and file not in seen and tests in file.parents]
    for path in seen:
        assert set(_imports(path)) <= DECODING | {".", "tests"} | sys.stdlib_module_names, path.name


def test_each_dependency_has_a_lower_bound() -> None:
    """`.ci/oldest` turns them into versions, which `.ci/run` and `.ci/versions` install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        assert ">=" in requirement


def test_readme_keeps_to_the_bounds_where_pip_does_not_ask_for_them() -> None:
    """The README installs with --no-deps. Lower bounds do not matter there, because pip takes the newest."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    command = next(line for line in (ROOT / "README.md").read_text().splitlines() if "--no-deps" in line)
    for name in ("pillow", "numpy", "constriction"):
        bounds = next(requirement for requirement in dependencies if requirement.startswith(name))
        upper = "".join(bound for bound in bounds.split(",") if bound.startswith("<"))
        assert f" '{name}{upper}'" in command if upper else f" {name} " in command
