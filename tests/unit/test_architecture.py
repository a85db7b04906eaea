"""The rooms of the package and the direction of their imports: the table, and two rules beside it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pillow_inr

PACKAGE = Path(pillow_inr.__file__).parent

# Rooms from the bottom to the top; a room imports those above its own line in this table, and nothing below it.
# A root module is a room of its own.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "limits", "_version", "models.registry"),
    ("runtime", "storage"),
    ("entropy",),
    ("kernel",),
    ("cost",),
    ("format",),
    ("imaging", "options"),
    ("encoding",),
    ("models.base",),
    ("models.siren", "models.pyramid"),
    ("models.selection", "models.reader"),
    ("codec",),
    ("api",),
    ("plugins",),
    ("inputs", "keras_model", "numcodecs_codec", "zarr_codec"),
    ("batch",),
    ("report",),
    ("cli",),
    ("__init__", "__main__"),
)
ROOMS = {room: level for level, layer in enumerate(LAYERS) for room in layer}
# The only code that may import TensorFlow or Keras.
TENSORFLOW = (
    "models.siren.training.",
    "models.pyramid.training.",
    "models.siren.keras_jets",
    "models.siren.keras_layers",
    "models.siren.keras_model",
    "models.siren.keras_mosaic",
    "runtime.tensorflow",
    "runtime.program",
    "imaging.ms_ssim",
    "batch.worker",  # limits TensorFlow's threads before the first fit
)
# What opening a file with Pillow imports: the standard library and Pillow alone, until pixels are asked for.
WITHOUT_NUMPY = (
    "__init__",
    "_version",
    "api",
    "cost",
    "errors",
    "limits",
    "options",
    "format.",
    "models.reader",
    "models.registry",
    "models.siren.header",
    "models.siren.cost",
    "models.siren.architecture",
    "models.pyramid.header",
    "models.pyramid.cost",
    "plugins.pillow",
    "plugins.registration",
    "plugins.imageio_support",
    "plugins.import_hook",
    "plugins.autoload",
    "imaging.pillow",
    "imaging.region",
    "runtime.native_log",
    "runtime.pool",
    "runtime.tensorflow",
    "runtime.threads",
    "storage.",
)
LINES_MAX = 300
FUNCTION_LINES_MAX = 60


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _room(module: str) -> str:
    """The longest name in the table that a module lies in; its own package's `__init__` counts as the room."""
    name = module.removesuffix(".__init__")
    while name not in ROOMS and "." in name:
        name = name.rpartition(".")[0]
    return name


def _imported(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """The modules of this package that a statement imports, without the package's name."""
    if node.level:
        base = module.split(".")[: -node.level]
    elif node.module and node.module.split(".")[0] == "pillow_inr":
        base = []
    else:
        return
    target = [*base, *(node.module or "").removeprefix("pillow_inr").strip(".").split(".")]
    prefix = ".".join(filter(None, target))
    for alias in node.names:
        full = f"{prefix}.{alias.name}" if prefix else alias.name
        if full in MODULES or f"{full}.__init__" in MODULES:
            yield full
        elif prefix:
            yield prefix


def _imports(module: str) -> set[str]:
    tree = ast.parse(MODULES[module].read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name for node in nodes for name in _imported(module, node)}


def _foreign(nodes: list[ast.AST]) -> set[str]:
    """Top-level names of what is imported from outside the package."""
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in found}


def test_every_module_lies_in_a_room() -> None:
    assert not [module for module in MODULES if _room(module) not in ROOMS and module != "models.__init__"]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    room = _room(module)
    for imported in _imports(module):
        other = _room(imported)
        if other != room and other != "models":
            assert ROOMS[other] < ROOMS[room], f"{module} imports {imported}, which is not below it"


@pytest.mark.parametrize("room", ROOMS)
def test_no_circles_inside_a_room(room: str) -> None:
    left = {module: _imports(module) for module in MODULES if _room(module) == room}
    while left:
        ready = [module for module, imports in left.items() if not imports & (left.keys() - {module})]
        assert ready, f"a circle among {sorted(left)}"
        for module in ready:
            del left[module]


@pytest.mark.parametrize("module", MODULES)
def test_only_fits_import_tensorflow(module: str) -> None:
    nodes = list(ast.walk(ast.parse(MODULES[module].read_text())))
    if not module.startswith(TENSORFLOW):
        assert not _foreign(nodes) & {"tensorflow", "keras"}


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(WITHOUT_NUMPY)])
def test_what_opening_imports_is_cheap(module: str) -> None:
    body = ast.parse(MODULES[module].read_text()).body
    assert not _foreign(list(body)) & {"numpy", "constriction", "rich", "click"}


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_are_short(module: str) -> None:
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            assert (node.end_lineno or 0) - body[0].lineno < FUNCTION_LINES_MAX, node.name
