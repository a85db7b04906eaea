"""Imports point one way: this table says what each module may import, beside the standard library and NumPy."""

import ast
import sys
from pathlib import Path

import pytest

import pillow_inr

PACKAGE = Path(pillow_inr.__file__).parent

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "metrics": set(),
    "pixels": set(),
    "progress": {"rich"},
    "native_log": {"errors"},
    "import_hook": {"PIL", "pillow_inr"},  # by its name: a copy of the module stands outside the package
    "imageio_support": {"import_hook"},
    "signature": set(),
    "container": {"errors", "signature"},
    "architecture": {"container"},
    "initialization": {"architecture", "container", "errors"},
    "config": {"container", "initialization"},
    "siren_plan": {"architecture", "config"},
    "pyramid_plan": {"config", "container"},
    "rate_search": set(),
    "quantization": set(),
    "distributions": {"constriction"},
    "limits": set(),
    "files": set(),
    "remote": {"files", "fsspec"},
    "cost": {"architecture", "container", "errors", "limits", "workers"},
    "range_coder": {"distributions", "errors", "limits", "constriction"},
    "scale_search": {"distributions"},
    "layouts": {"distributions", "errors", "quantization", "range_coder", "scale_search"},
    "entropy": {"layouts", "quantization", "range_coder"},
    "normal_form": set(),
    "samples": {"container"},
    "metadata": {"container", "errors", "limits"},
    "workers": set(),
    "siren": {"architecture", "pixels", "samples", "workers"},
    "symbol_rows": {"distributions"},
    "resampling": set(),
    "pyramid": {"container", "errors"},
    "context": {"pyramid", "symbol_rows"},
    "pyramid_coding": {
        "context",
        "distributions",
        "errors",
        "pyramid",
        "range_coder",
        "scale_search",
        "symbol_rows",
    },
    "pyramid_synthesis": {"context", "pyramid", "workers"},
    "pyramid_tiles": {"container", "cost", "errors", "pyramid_coding", "pyramid_synthesis"},
    "soap": set(),
    "pyramid_graph": {"pyramid", "tensorflow"},
    "pyramid_patches": {"pyramid_graph", "tensorflow"},
    "pyramid_training": {"pyramid", "pyramid_graph", "pyramid_patches", "soap", "tensorflow", "workers"},
    "pyramid_analysis": {"pyramid"},
    "pyramid_rounding": {"pyramid", "pyramid_coding", "quantization", "soap"},
    "pyramid_fit": {
        "context",
        "errors",
        "fit",
        "metrics",
        "progress",
        "pyramid",
        "pyramid_analysis",
        "pyramid_coding",
        "pyramid_rounding",
        "pyramid_training",
        "samples",
        "soap",
        "tensorflow",
    },
    "network": {"architecture", "errors", "keras", "tensorflow"},
    "keras_model": {"architecture", "network", "pixels", "keras", "tensorflow"},
    "sampling": {"samples"},
    "training": {"architecture", "metrics", "network", "pixels", "samples", "sampling", "keras", "tensorflow"},
    "fit": {"architecture", "errors", "metrics", "network", "progress", "samples", "training", "keras", "tensorflow"},
    "learn": {"architecture", "errors", "fit", "initialization", "samples", "training", "tensorflow"},
    "decoding": {
        "architecture",
        "container",
        "cost",
        "entropy",
        "errors",
        "initialization",
        "pixels",
        "pyramid_synthesis",
        "pyramid_tiles",
        "quantization",
        "resampling",
        "samples",
        "siren",
    },
    "picture": {"container", "decoding", "metadata", "metrics", "pixels", "resampling", "samples", "siren"},
    "siren_encode": {
        "architecture",
        "config",
        "container",
        "cost",
        "decoding",
        "entropy",
        "errors",
        "fit",
        "initialization",
        "normal_form",
        "picture",
        "progress",
        "quantization",
        "siren_plan",
        "training",  # a name for annotations
    },
    "pyramid_encode": {
        "config",
        "container",
        "errors",
        "metrics",
        "picture",
        "progress",
        "pyramid",
        "pyramid_coding",
        "pyramid_fit",
        "pyramid_plan",
        "pyramid_tiles",
        "rate_search",
    },
    "codec": {"config", "errors", "metadata", "picture", "pyramid_encode", "samples", "siren_encode"},
    "facts": {"architecture", "container", "metadata", "metrics"},
    "plugin": {
        "codec",
        "config",
        "container",
        "decoding",
        "errors",
        "facts",
        "metadata",
        "samples",  # a name for annotations
        "signature",
        "PIL",
    },
    "imageio_plugin": {
        "api",
        "container",
        "decoding",
        "errors",
        "facts",
        "files",
        "metadata",
        "plugin",
        "samples",
        "signature",
        "PIL",
        "imageio",
    },
    "numcodecs_codec": {"api", "config", "container", "numcodecs"},
    "registration": {"plugin", "signature", "PIL"},
    "api": {
        "codec",
        "config",
        "container",
        "decoding",
        "errors",
        "files",
        "initialization",
        "keras_model",
        "metadata",
        "plugin",
        "samples",  # a name for annotations
        "PIL",
    },
    "autoload": {"__init__", "files", "import_hook"},
    "cluster_worker": {"__init__", "batch_work", "errors", "manifest", "remote", "distributed"},
    "batch_cluster": {"__init__", "batch_work", "cluster_worker", "errors", "manifest", "remote", "distributed"},
    "cli_autoload": {"autoload", "import_hook", "click"},
    "anatomy": {
        "architecture",
        "container",
        "cost",
        "entropy",
        "metadata",
        "pyramid",
        "pyramid_coding",
        "pyramid_tiles",
        "quantization",
    },
    "compare": {"metrics", "plugin", "PIL", "matplotlib"},
    "plots": {"anatomy", "matplotlib"},
    "sources": {"errors", "plugin", "signature", "PIL"},
    "manifest": set(),
    "batch_work": {
        "__init__",  # for the release
        "api",
        "errors",
        "files",
        "manifest",
        "metadata",
        "metrics",
        "plugin",
        "remote",
        "samples",
        "sources",
        "workers",
        "PIL",
        "tensorflow",
    },
    "batch_local": {"batch_work", "errors", "manifest", "native_log", "workers"},
    "batch": {
        "__init__",
        "batch_cluster",
        "batch_local",
        "batch_work",
        "config",
        "manifest",
        "remote",
        "signature",
        "sources",
        "PIL",
    },
    "originals": {"decoding", "metadata", "plugin", "samples", "sources", "PIL"},
    "cli_files": {"api", "files", "sources", "PIL", "click"},
    "cli_run": {"sources", "rich"},
    "cli_batch": {"batch", "cli_fit", "cli_run", "errors", "manifest", "sources", "click", "rich"},
    "cli_fit": {"api", "cli_run", "config", "container", "native_log", "progress", "PIL", "click", "rich"},
    "cli_encode": {
        "cli_files",
        "cli_fit",
        "cli_run",
        "container",
        "files",
        "metadata",
        "metrics",
        "plugin",
        "PIL",
        "click",
        "rich",
        "sources",
    },
    "cli_decode": {
        "api",
        "cli_files",
        "cli_run",
        "container",
        "decoding",
        "files",
        "metadata",
        "plugin",
        "PIL",
        "click",
        "rich",
        "sources",
    },
    "cli_info": {
        "anatomy",
        "architecture",
        "cli_files",
        "cli_run",
        "container",
        "facts",
        "metadata",
        "plugin",
        "click",
        "rich",
        "sources",
    },
    "cli_learn": {
        "architecture",
        "cli_files",
        "cli_fit",
        "cli_run",
        "config",
        "errors",
        "files",
        "learn",
        "native_log",
        "plugin",
        "progress",
        "siren_plan",
        "PIL",
        "click",
        "rich",
        "sources",
    },
    "cli_show": {
        "anatomy",
        "api",
        "cli_files",
        "cli_fit",
        "cli_run",
        "compare",
        "config",
        "decoding",
        "files",
        "metadata",
        "metrics",
        "originals",
        "plots",
        "PIL",
        "click",
        "rich",
        "sources",
    },
    "report_charts": set(),
    "report_images": {
        "compare",
        "decoding",
        "manifest",  # a name for annotations
        "originals",
        "samples",
        "sources",
        "PIL",
        "matplotlib",
    },
    "report": {"manifest", "report_charts", "report_images", "jinja2"},
    "cli_report": {"cli_files", "cli_run", "files", "report", "sources", "click", "rich"},
    "cli": {
        "__init__",
        "cli_autoload",
        "cli_decode",
        "cli_encode",
        "cli_info",
        "cli_learn",
        "cli_report",
        "cli_run",
        "cli_show",
        "click",
        "cli_batch",
    },
    "__init__": {"api", "config", "container", "errors", "imageio_support", "limits", "registration"},
    "__main__": {"cli"},
}
WITHOUT_NUMPY = {
    "container",
    "facts",
    "config",
    "metadata",
    "architecture",
    "plugin",
    "api",
    "imageio_support",
    "__init__",
    "registration",
    "import_hook",
    "autoload",
    "signature",
}


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
