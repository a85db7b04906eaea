"""Start-up files: written and removed in a folder of the test's own, and at work in a throw-away environment."""

import ast
import os
import site
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

pytest.importorskip("click")

from click.testing import CliRunner, Result

import pillow_inr
from pillow_inr.cli.commands import main
from pillow_inr.plugins import autoload, import_hook
from tests.support.checks import VECTORS

NAMES = {"pillow_inr_autoload.py", "pillow_inr_autoload.pth", "pillow_inr_autoload.start"}
RGB = str(VECTORS / "rgb.inr")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The environment's site-packages and the user's, of an interpreter that reads these two only."""
    purelib, user = tmp_path / "site-packages", tmp_path / "home" / "site-packages"
    purelib.mkdir()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(purelib))
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(purelib)])
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(user))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.delenv(import_hook.KILL_SWITCH, raising=False)
    return purelib, user


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_enable_writes_and_disable_removes(folders: tuple[Path, Path]) -> None:
    purelib, user = folders
    assert not autoload.status().enabled
    assert {path.name for path in autoload.enable()} == NAMES
    assert _files(purelib) > NAMES
    assert autoload.status() == autoload.Status(folders=(purelib,), current=True, switched_off=False)
    assert autoload.enable() == ()
    assert {path.name for path in autoload.disable()} == NAMES
    assert not list(purelib.iterdir())
    assert autoload.disable() == ()
    assert not user.exists()


def test_the_written_module_is_the_hook_and_says_how_to_remove_it(folders: tuple[Path, Path]) -> None:
    autoload.enable()
    text = (folders[0] / "pillow_inr_autoload.py").read_text()
    assert text.endswith(Path(import_hook.__file__).read_text())
    head = text[: text.index('"""')]
    assert f"pillow_inr {pillow_inr.__version__}" in head
    assert "pillow-inr autoload disable" in head
    assert all(line.startswith("#") for line in head.strip().splitlines())
    ast.parse(text)
    assert (folders[0] / "pillow_inr_autoload.start").read_text() == "pillow_inr_autoload:install\n"
    (line,) = (folders[0] / "pillow_inr_autoload.pth").read_text().splitlines()
    assert line.startswith("import ")


def test_the_hook_imports_what_every_interpreter_has() -> None:
    body = ast.parse(Path(import_hook.__file__).read_text()).body
    imported = [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    assert imported == ["os", "sys"]
    assert not [node for node in body if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("change", ["older", "missing"])
def test_files_of_another_release_are_renewed(folders: tuple[Path, Path], name: str, change: str) -> None:
    autoload.enable()
    path = folders[0] / name
    path.write_text("# older\n") if change == "older" else path.unlink()
    status = autoload.status()
    assert (status.enabled, status.current) == (True, False)
    assert autoload.enable() == (path,)
    assert autoload.status().current


def test_the_users_folder_where_the_environments_is_read_only(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    purelib, user = folders
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != purelib and access(path, mode))
    autoload.enable()
    assert autoload.status().folders == (user,)
    monkeypatch.setattr(os, "access", access)
    assert autoload.enable() == ()  # there is one place for it, and one is enough
    assert {path.parent for path in autoload.disable()} == {user}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    with pytest.raises(PermissionError):
        autoload.enable()
    assert not _files(purelib)


def test_disable_looks_in_every_folder(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pillow_inr_autoload.pth").write_text("import os\n")
        (folder / "other.pth").write_text("import os\n")
    assert autoload.status().folders == folders
    assert len(autoload.disable()) == 2
    assert [_files(folder) for folder in folders] == [{"other.pth"}] * 2


def test_the_user_folder_is_left_alone_where_it_is_not_read(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders[1].mkdir(parents=True)
    (folders[1] / "pillow_inr_autoload.pth").write_text("import os\n")
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)  # as in a virtual environment
    assert not autoload.status().enabled
    assert autoload.disable() == ()


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["autoload", *arguments])


def test_commands(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not enabled" in _run("status").output
    assert "nothing to remove" in _run("disable").output
    text = _run("enable").output
    assert all(name in text for name in NAMES)
    assert "autoload disable" in text and "PILLOW_INR_AUTOLOAD=0" in text
    assert "already" in _run("enable").output
    text = _run("status").output
    assert str(folders[0]) in text and "this release" in text
    (folders[0] / "pillow_inr_autoload.start").unlink()
    assert "renews" in _run("status").output
    monkeypatch.setenv(import_hook.KILL_SWITCH, "0")
    assert "off" in _run("status").output
    assert "off" in _run("enable").output
    assert all(name in _run("disable").output for name in NAMES if (folders[0] / name).exists())
    assert not list(folders[0].iterdir())
    assert "-S" in _run("--help").output and "frozen" in _run("--help").output


def test_a_folder_that_cannot_be_written_to_is_named(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    result = _run("enable")
    assert result.exit_code == 1
    assert f"{folders[0]}: Permission denied" in result.output


# From here on with a real environment: one of its own, without pip, that sees this interpreter's packages.


class Environment:
    """A virtual environment, and what is done with it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.site = Path(self.output("import sysconfig; print(sysconfig.get_path('purelib'))"))
        self.home = folder
        self.borrowed = self.site / "borrowed.pth"
        package = Path(pillow_inr.__file__).parent.parent
        # As plain paths: start-up files of the packages there are not run.
        self.borrowed.write_text("\n".join([str(package), *site.getsitepackages()]) + "\n")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment.pop(import_hook.KILL_SWITCH, None)
        return subprocess.run(
            [str(self.python), *arguments],
            capture_output=True,
            text=True,
            cwd=self.python.parent,
            env=environment | variables,
        )

    def output(self, code: str, *options: str, **variables: str) -> str:
        done = self.run(*options, "-c", code, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def autoload(self, command: str) -> str:
        done = self.run("-m", "pillow_inr", "autoload", command)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def enabled(environment: Environment) -> Environment:
    environment.autoload("enable")
    return environment


OPEN = f"from PIL import Image; print(Image.open({RGB!r}).format)"


@pytest.mark.parametrize("options", [(), ("-I",), ("-s", "-E"), ("-B",), ("-O",)])
def test_an_untouched_script_opens_a_file(enabled: Environment, options: tuple[str, ...]) -> None:
    assert enabled.output(OPEN, *options) == "INR"


@pytest.mark.parametrize(
    "script",
    [
        f"import PIL.Image; print(PIL.Image.open({RGB!r}).format)",
        f"from PIL import ImageFile, Image; print(Image.open({RGB!r}).format)",
        f"from PIL import ImageOps, Image; print(Image.open({RGB!r}).format)",
        f"from PIL import PngImagePlugin, Image; print(Image.open({RGB!r}).format)",
        f"import imageio.v3 as iio; iio.imread({RGB!r}); print(iio.immeta({RGB!r})['model'] and 'INR')",
        f"import imageio.v2 as imageio; imageio.imread({RGB!r}); print('INR')",
        "import imageio; print(imageio.config.known_extensions['.inr'] and 'INR')",
        f"from pillow_inr import decode; decode({RGB!r}); print('INR')",
        f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {OPEN!r}], text=True, stdout=-1).stdout)",
    ],
)
def test_untouched_scripts_of_other_kinds(enabled: Environment, script: str) -> None:
    assert enabled.output(script) == "INR"


@pytest.mark.keras
def test_an_untouched_script_saves_a_file(enabled: Environment, tmp_path: Path) -> None:
    path = str(tmp_path / "a.inr")
    script = f"""
from PIL import Image
Image.new("RGB", (9, 7), "red").save({path!r}, width=8, depth=2, steps=20)
with Image.open({path!r}) as image:
    image.load()
    print(image.format, image.size)
"""
    done = enabled.run("-c", script)
    assert (done.returncode, done.stdout.strip()) == (0, "INR (9, 7)")


def test_the_start_imports_neither_pillow_nor_numpy(enabled: Environment) -> None:
    loaded = set(enabled.output("import sys; print(*sys.modules)").split())
    assert "pillow_inr_autoload" in loaded
    assert not {"PIL", "numpy", "pillow_inr", "imageio", "typing", "importlib.util"} & loaded
    before = set(enabled.output("import sys; print(*sys.modules)", "-S").split())
    enabled.autoload("disable")
    without = set(enabled.output("import sys; print(*sys.modules)").split())
    assert loaded - without == {"pillow_inr_autoload"}
    assert "pillow_inr_autoload" not in before


def test_importing_pillow_stays_light(enabled: Environment) -> None:
    heavy = {"numpy", "dataclasses", "pillow_inr.plugins.pillow", "imageio"}
    code = f"import sys, PIL.Image; print({heavy} & set(sys.modules))"
    assert enabled.output(code) == "set()"


def test_the_kill_switch_and_minus_s(enabled: Environment) -> None:
    code = "import PIL.Image; print('INR' in PIL.Image.ID)"
    assert enabled.output(code) == "True"
    assert enabled.output(code, PILLOW_INR_AUTOLOAD="0") == "False"
    paths = enabled.borrowed.read_text().splitlines()
    assert enabled.output(f"import sys; sys.path += {paths}; {code}", "-S") == "False"


def test_enabled_twice_works_once(enabled: Environment) -> None:
    assert "already" in enabled.autoload("enable")
    code = "import sys; print([type(finder).__name__ for finder in sys.meta_path].count('AfterImport'))"
    assert enabled.output(code) == "1"
    assert "enabled" in enabled.autoload("status")


def test_disable_leaves_nothing(environment: Environment) -> None:
    def everything() -> set[Path]:
        return set(environment.home.rglob("*"))

    environment.autoload("disable")
    before = everything()
    environment.autoload("enable")
    assert everything() > before
    environment.output(OPEN)
    environment.autoload("disable")
    assert everything() == before
    assert environment.output("import PIL.Image; print('INR' in PIL.Image.ID)") == "False"


def test_silence_when_the_package_is_gone(enabled: Environment) -> None:
    borrowed = enabled.borrowed.read_text()
    try:
        enabled.borrowed.write_text("\n".join(site.getsitepackages()))
        if enabled.output("import importlib.util; print(importlib.util.find_spec('pillow_inr'))") != "None":
            pytest.skip("pillow_inr is installed among the packages that the environment borrows")
        assert enabled.output("import PIL.Image; print('INR' in PIL.Image.ID)") == "False"
    finally:
        enabled.borrowed.write_text(borrowed)


@pytest.mark.parametrize("contents", [None, "this is not Python", "raise ValueError"])
def test_silence_when_the_module_is_gone_or_broken(enabled: Environment, contents: str | None) -> None:
    module = enabled.site / "pillow_inr_autoload.py"
    module.unlink()
    for path in (enabled.site / "__pycache__").glob("pillow_inr_autoload.*"):
        path.unlink()
    if contents is not None:
        module.write_text(contents)
    assert enabled.output("print(1)") == "1"
    assert "renews" in enabled.autoload("status")
    enabled.autoload("enable")
    assert enabled.output(OPEN) == "INR"
