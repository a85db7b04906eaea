"""The post-import hook: the action runs once after the import, however it is written, and nothing else changes."""

import importlib
import importlib.machinery
import importlib.util
import inspect
import runpy
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from pillow_inr.plugins import import_hook
from tests.support.checks import fresh, fresh_warnings

NAME = "pillow_inr_test_package.awaited"


class Calls:
    """An action that records each call, with a value that a complete module has."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def __call__(self) -> None:
        self.values.append(sys.modules[NAME].value)


def waiting(action: object) -> int:
    """Number of finders that wait for a module to call this action."""
    return sum(bool(finder.names) for finder in import_hook._finders(action))  # type: ignore[arg-type]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """An action that waits for the import of a module."""
    package = tmp_path / "pillow_inr_test_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "awaited.py").write_text("import time\ntime.sleep(0.02)\nvalue = 7\n\ndef function():\n    return 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    action = Calls()
    import_hook.after_import([NAME], action)
    yield action
    import_hook.cancel(action)
    assert [finder for finder in sys.meta_path if not isinstance(finder, import_hook.AfterImport)] == [
        finder for finder in before if not isinstance(finder, import_hook.AfterImport)
    ]
    assert not waiting(action)
    sys.meta_path[:] = before
    for name in (NAME, NAME.partition(".")[0]):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "spelling",
    [
        f"import {NAME}",
        f"import {NAME} as x",
        "from pillow_inr_test_package import awaited",
        f"from {NAME} import value as y, function",
        f"from {NAME} import *",
        f"__import__({NAME!r})",
        f"import importlib; importlib.import_module({NAME!r})",
        "import importlib; importlib.import_module('.awaited', 'pillow_inr_test_package')",
    ],
)
def test_every_spelling_of_an_import(calls: Calls, spelling: str) -> None:
    exec(spelling, {})
    exec(spelling, {})
    assert calls.values == [7]


def test_the_module_is_as_if_loaded_without_the_hook(calls: Calls) -> None:
    module = importlib.import_module(NAME)
    assert isinstance(module.__loader__, importlib.machinery.SourceFileLoader)
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert inspect.getsource(module).startswith("import time")
    assert "return 8" in inspect.getsource(module.function)
    assert importlib.reload(module) is module
    assert calls.values == [7]


def test_finding_is_not_importing(calls: Calls) -> None:
    spec = importlib.util.find_spec(NAME)
    assert spec is not None and spec.loader is not None
    assert str(spec.origin).endswith("awaited.py")
    assert spec.loader.get_source(NAME).startswith("import time")  # type: ignore[attr-defined]
    assert not calls.values
    importlib.import_module(NAME)
    assert calls.values == [7]


def test_a_found_spec_may_be_executed_by_hand(calls: Calls) -> None:
    spec = importlib.util.find_spec(NAME)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    assert calls.values == [7]


def test_running_the_module_as_a_script_still_works(calls: Calls) -> None:
    assert runpy.run_module(NAME)["value"] == 7
    assert not calls.values


def test_lazy_loading_stays_lazy(calls: Calls) -> None:
    spec = importlib.util.find_spec(NAME)
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    assert not calls.values
    assert module.value == 7
    assert calls.values == [7]


def test_a_failed_import_leaves_the_hook_in_place(calls: Calls, tmp_path: Path) -> None:
    path = tmp_path / "pillow_inr_test_package" / "awaited.py"
    good = path.read_text()
    path.write_text("this_name_does_not_exist")
    with pytest.raises(NameError):
        importlib.import_module(NAME)
    assert not calls.values
    path.write_text(good)
    importlib.invalidate_caches()
    importlib.import_module(NAME)
    assert calls.values == [7]


def test_a_missing_module_is_missing_as_always(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "pillow_inr_test_package" / "awaited.py").unlink()
    with pytest.raises(ModuleNotFoundError, match=NAME):
        importlib.import_module(NAME)
    assert importlib.util.find_spec(NAME) is None


def test_an_error_of_the_action_reaches_the_importer_once(calls: Calls) -> None:
    def failing() -> None:
        raise RuntimeError("no")

    import_hook.after_import([NAME], failing)
    with pytest.raises(RuntimeError, match="no"):
        importlib.import_module(NAME)
    importlib.import_module(NAME)
    assert calls.values == [7]


def test_asking_again_adds_no_second_finder(calls: Calls) -> None:
    before = list(sys.meta_path)
    import_hook.after_import([NAME], calls)
    assert sys.meta_path == before


def test_several_actions_and_the_first_of_several_modules(calls: Calls) -> None:
    others = [Calls(), Calls()]
    import_hook.after_import(["missing_package.module", NAME], others[0])
    import_hook.after_import([NAME, "missing_package.other"], others[1])
    importlib.import_module(NAME)
    assert [action.values for action in (calls, *others)] == [[7]] * 3


def test_a_module_that_is_there_is_acted_upon_at_once(calls: Calls) -> None:
    importlib.import_module(NAME)
    later = Calls()
    import_hook.after_import(["missing_package.module", NAME], later)
    assert later.values == [7]


def test_cancelled_actions_are_forgotten(calls: Calls) -> None:
    import_hook.cancel(calls)
    import_hook.cancel(calls)
    importlib.import_module(NAME)
    assert not calls.values


def test_a_cancelled_action_may_wait_again(calls: Calls) -> None:
    before = list(sys.meta_path)
    for _ in range(2):
        import_hook.cancel(calls)
        import_hook.after_import([NAME], calls)
    assert sys.meta_path == before  # no finder is left over
    importlib.import_module(NAME)
    assert calls.values == [7]


@pytest.mark.parametrize("end", ["cancelled", "imported"])
def test_the_list_of_finders_is_neither_shortened_nor_replaced(calls: Calls, end: str) -> None:
    """Other threads may be iterating over it, or inserting into it."""
    finders, others = sys.meta_path, [finder for finder in sys.meta_path if finder not in import_hook._finders(calls)]
    iterating = iter(finders)
    assert next(iterating) in import_hook._finders(calls)
    if end == "cancelled":
        import_hook.cancel(calls)
    else:
        importlib.import_module(NAME)
    assert list(iterating) == others
    assert sys.meta_path is finders
    assert not waiting(calls)


class Restarting:
    """A finder as older libraries have them: it runs the whole import system again and wraps the loader found."""

    def __init__(self) -> None:
        self.busy = False
        self.executed = 0

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != NAME or self.busy:
            return None
        self.busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.busy = False
        assert spec is not None
        self.loader, spec.loader = spec.loader, self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.loader.create_module(spec)  # type: ignore[union-attr]

    def exec_module(self, module: types.ModuleType) -> None:
        self.executed += 1
        self.loader.exec_module(module)  # type: ignore[union-attr]


class FormerKind:
    """A finder with Python 2's interface, which finds nothing."""

    def find_module(self, fullname: str, path: object = None) -> None:
        return None


@pytest.mark.filterwarnings("ignore::ImportWarning")  # from Python, about such a finder
@pytest.mark.parametrize("position", [0, 1])
def test_hooks_of_other_libraries(calls: Calls, position: int, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Restarting()
    changed = list(sys.meta_path)
    changed.insert(position, other)  # type: ignore[arg-type]
    changed.insert(2, FormerKind())  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "meta_path", changed)
        importlib.import_module(NAME)
        assert not waiting(calls)
    assert calls.values
    assert set(calls.values) == {7}
    assert other.executed == 1


def test_threads_get_the_module_after_the_action(calls: Calls) -> None:
    start = threading.Barrier(8)
    seen = []

    def work() -> None:
        start.wait()
        importlib.import_module(NAME)
        seen.append(len(calls.values))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8


# `install` in interpreters that have not imported pillow_inr: the module is loaded from its file, as by the start-up
# file.

INSTALL = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("hook", {import_hook.__file__!r})
hook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hook)
hook.install()
hook.install()
def waiting():  # for Pillow or imageio, as pillow_inr itself waits for mimetypes, too
    names = [finder.names for finder in sys.meta_path if type(finder).__name__ == "AfterImport"]
    return sum(bool(awaited) and "mimetypes" not in awaited for awaited in names)
assert waiting() == 1
"""


@pytest.mark.parametrize(
    "spelling",
    [
        "import PIL.Image as I",
        "from PIL import Image as I",
        "from PIL import ImageFile; from PIL import Image as I",
        "from PIL.Image import open; import PIL.Image as I",
        "I = __import__('PIL.Image').Image",
        "import importlib; I = importlib.import_module('.Image', 'PIL')",
        "import imageio.v2; import PIL.Image as I",
        "import imageio.v3; import PIL.Image as I",
        "import pillow_inr; import PIL.Image as I",
    ],
)
def test_pillow_knows_inr_files_however_it_is_imported(spelling: str) -> None:
    if "imageio" in spelling:
        pytest.importorskip("imageio")
    check = "print(I.EXTENSION['.inr'], I.ID.count('INR'), 'pillow_inr' in sys.modules, waiting())"
    after = "1" if "imageio" not in spelling else "0"  # the finder that waits for imageio
    assert fresh(f"{INSTALL}{spelling}\n{check}") == f"INR 1 True {after}"


@pytest.mark.parametrize("order", [("PIL.Image", "imageio.v3"), ("imageio.v3", "PIL.Image")])
def test_imageio_knows_inr_files_in_either_order(order: tuple[str, str]) -> None:
    pytest.importorskip("imageio")
    code = f"import {order[0]}, {order[1]}, imageio; print(len(imageio.config.known_extensions['.inr']))"
    assert fresh(INSTALL + code) == "1"


def test_pillow_imported_earlier() -> None:
    code = f"import PIL.Image\n{INSTALL}\nprint('INR' in PIL.Image.ID, waiting())"
    assert fresh(code) == "True 1"  # the finder that waits for imageio


def test_source_of_pillow_can_be_inspected() -> None:
    code = "import inspect, PIL.Image; print(len(inspect.getsource(PIL.Image)) > 10000, PIL.Image.__loader__)"
    output = fresh(INSTALL + code)
    assert output.startswith("True <_frozen_importlib_external.SourceFileLoader")


def test_finding_pillow_only() -> None:
    code = "print(importlib.util.find_spec('PIL.Image').name, 'pillow_inr' in sys.modules, waiting())"
    assert fresh(INSTALL + code) == "PIL.Image False 1"


def test_other_imports_load_nothing() -> None:
    code = "import json, PIL; print({'PIL.Image', 'numpy', 'pillow_inr'} & set(sys.modules), waiting())"
    assert fresh(INSTALL + code) == "set() 1"


@pytest.mark.parametrize("value", ["0", "1", ""])
def test_the_kill_switch(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(import_hook.KILL_SWITCH, value)
    code = INSTALL.replace("assert waiting() == 1", "") + "import PIL.Image; print('INR' in PIL.Image.ID)"
    assert fresh(code) == str(value != "0")


HIDE = """
class Hide:
    def find_spec(self, fullname, path=None, target=None):
        if fullname in HIDDEN:
            raise FAILURE
sys.meta_path.insert(0, Hide())
"""


def _hidden(module: str, failure: str) -> str:
    return HIDE.replace("HIDDEN", repr([module])).replace("FAILURE", failure)


def test_silence_when_pillow_inr_is_gone() -> None:
    pytest.importorskip("imageio")
    hide = _hidden("pillow_inr", "ModuleNotFoundError('gone', name='pillow_inr')")
    code = f"{INSTALL}{hide}import PIL.Image, imageio.v3; print('INR' in PIL.Image.ID, waiting())"
    assert fresh_warnings(code, "always") == ("False 0", "")


def test_silence_when_pillow_is_missing() -> None:
    pytest.importorskip("imageio")
    hide = _hidden("PIL", "ModuleNotFoundError('gone', name='PIL')")
    code = f"{INSTALL}{hide}import imageio.v3\ntry:\n    import PIL.Image\nexcept ModuleNotFoundError: print('missing')"
    assert fresh_warnings(code, "always") == ("missing", "")


@pytest.mark.parametrize("filters", ["always", "error", "ignore"])
def test_another_failure_is_one_warning(filters: str) -> None:
    pytest.importorskip("imageio")
    hide = _hidden("pillow_inr.plugins.registration", "ValueError('broken')")
    code = f"{INSTALL}{hide}import PIL.Image, imageio.v3; print('INR' in PIL.Image.ID, waiting())"
    output, errors = fresh_warnings(code, filters)
    assert output == "False 0"
    assert errors.count("ValueError: broken") == (filters != "ignore")
    assert "Traceback" not in errors


def test_a_dependency_that_is_missing_is_told() -> None:
    hide = _hidden(
        "pillow_inr.plugins.registration", "ModuleNotFoundError('no', name='pillow_inr.plugins.registration')"
    )
    assert "failed" in fresh_warnings(f"{INSTALL}{hide}import PIL.Image", "always")[1]


def test_threads_that_import_everything_at_once() -> None:
    pytest.importorskip("imageio")
    # Some releases of Python fail when threads import collections.abc concurrently, as NumPy does.
    code = """
import collections.abc, numpy, threading
start = threading.Barrier(6)
failures = []
def work(name):
    start.wait()
    try:
        __import__(name)
        if name == "PIL.Image":
            assert "INR" in sys.modules[name].ID
    except BaseException as error:
        failures.append(repr(error))
names = ["PIL.Image", "imageio.v3", "PIL.Image", "imageio.v3", "PIL.ImageFile", "imageio.v3"]
threads = [threading.Thread(target=work, args=[name]) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
import PIL.Image, imageio
print(failures, "INR" in PIL.Image.ID, ".inr" in imageio.config.known_extensions, waiting())
"""
    for interval in (5e-3, 1e-5):
        assert fresh_warnings(f"import sys; sys.setswitchinterval({interval})\n{INSTALL}{code}", "always") == (
            "[] True True 0",
            "",
        )
