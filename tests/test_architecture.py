"""Imports point one way: this table says what each module may import, beside the standard library and NumPy."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pillow_inr"

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "metrics": set(),
    "pixels": set(),
    "progress": {"rich"},
    "native_log": {"errors"},
    "imageio_support": set(),
    "container": {"errors"},
    "architecture": {"container"},
    "initialization": {"architecture", "container", "errors"},
    "config": {"architecture", "container", "initialization"},
    "quantization": set(),
    "distributions": {"constriction"},
    "range_coder": {"distributions", "errors", "constriction"},
    "scale_search": {"distributions"},
    "layouts": {"distributions", "errors", "quantization", "range_coder", "scale_search"},
    "entropy": {"layouts", "quantization", "range_coder"},
    "normal_form": set(),
    "siren": {"architecture", "pixels"},
    "network": {"architecture", "errors", "keras", "tensorflow"},
    "keras_model": {"architecture", "network", "pixels", "keras", "tensorflow"},
    "sampling": set(),
    "training": {"architecture", "metrics", "network", "pixels", "sampling", "keras", "tensorflow"},
    "fit": {"architecture", "errors", "metrics", "network", "training", "keras", "tensorflow"},
    "learn": {"architecture", "errors", "fit", "initialization", "training", "tensorflow"},
    "codec": {
        "architecture",
        "config",
        "container",
        "entropy",
        "errors",
        "fit",
        "initialization",
        "metrics",
        "normal_form",
        "progress",
        "quantization",
        "siren",
        "training",  # a name for annotations
    },
    "plugin": {"architecture", "codec", "config", "container", "errors", "metrics", "PIL"},
    "api": {"codec", "config", "container", "errors", "initialization", "keras_model", "plugin", "PIL"},
    "cli": {
        "__init__",
        "api",
        "architecture",
        "config",
        "container",
        "errors",
        "learn",
        "metrics",
        "native_log",
        "plugin",
        "progress",
        "PIL",
        "click",
        "rich",
    },
    "__init__": {"api", "config", "container", "errors", "imageio_support", "plugin"},
    "__main__": {"cli"},
}
WITHOUT_NUMPY = {"container", "config", "architecture", "plugin", "api", "imageio_support", "__init__"}


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                found.add(str(node.module).partition(".")[0])
            elif node.module:
                found.add(node.module)
            else:
                modules = {path.stem for path in PACKAGE.glob("*.py")}
                found |= {alias.name if alias.name in modules else "__init__" for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_stay_within_the_table(path: Path) -> None:
    found = _imports(ast.parse(path.read_text()))
    foreign = {name for name in found if name not in sys.stdlib_module_names} - {"numpy"}
    assert foreign <= ALLOWED[path.stem], f"{path.stem} imports {foreign - ALLOWED[path.stem]}"


@pytest.mark.parametrize("module", sorted(WITHOUT_NUMPY))
def test_cheap_modules_import_numpy_only_inside_functions(module: str) -> None:
    body = ast.parse((PACKAGE / f"{module}.py").read_text()).body
    at_import = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "numpy" not in set().union(*(_imports(node) for node in at_import))


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()
    left = {name: {other for other in allowed if other in ALLOWED} for name, allowed in ALLOWED.items()}
    while left:
        ready = {name for name, needs in left.items() if needs <= done}
        assert ready, f"cycle among {sorted(left)}"
        done |= ready
        left = {name: needs for name, needs in left.items() if name not in ready}
