"""Acts once another module has been imported; `install` lets it load pillow_inr as soon as Pillow or imageio is there.

`pillow-inr autoload enable` copies this file next to the interpreter's start-up file. So it stands alone, works when
pillow_inr is gone, and imports at its top only what every interpreter has loaded anyway.
"""

import os
import sys

TYPE_CHECKING = False  # typing's own would import typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

KILL_SWITCH = "PILLOW_INR_AUTOLOAD"
# Whichever comes first. At the end of imageio.config its lists of extensions and plugins are both there.
AWAITED = ("PIL.Image", "imageio.config")


def install() -> None:
    """Import pillow_inr once the application imports Pillow or imageio, unless PILLOW_INR_AUTOLOAD=0; idempotent."""
    if os.environ.get(KILL_SWITCH) != "0":
        after_import(AWAITED, _load_pillow_inr)


def after_import(names: "Sequence[str]", action: "Callable[[], object]") -> None:
    """Call the action once one of these modules is imported: now, if one is there already.

    Asking again for an action that still waits changes nothing. Threads may make it be called twice, and it may be
    called while another thread is still executing one of the modules: `__import__` waits for that.
    """
    if any(name in sys.modules for name in names):
        action()
    elif not any(_waits_for(finder, action) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterImport(names, action))


def cancel(action: "Callable[[], object]") -> None:
    """Forget an action that still waits."""
    # A new list: removing from the old one would make a thread that is going through it skip a finder.
    sys.meta_path = [finder for finder in sys.meta_path if not _waits_for(finder, action)]


def _waits_for(finder: object, action: "Callable[[], object]") -> bool:
    return isinstance(finder, AfterImport) and finder.action is action


class AfterImport:
    """Lets the finders behind it find the awaited modules as always, but acts once the first has been executed.

    It stays until then: to find a module is not yet to import it.
    """

    def __init__(self, names: "Sequence[str]", action: "Callable[[], object]") -> None:
        self.names = names
        self.action = action

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The module's own spec; that of an awaited module has its loader wrapped."""
        if fullname not in self.names:
            return None
        for finder in self._behind():
            spec: ModuleSpec | None = finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self.executed)  # type: ignore[assignment]
                return spec
        return None

    def _behind(self) -> "list[Any]":
        """The finders that the import system would ask after this one; two that wait never ask each other in turns."""
        finders: list[Any] = list(sys.meta_path)
        if self in finders:
            del finders[: finders.index(self) + 1]
        return [finder for finder in finders if hasattr(finder, "find_spec")]

    def executed(self) -> None:
        """Act, then leave: until the action is done, other threads' imports of awaited modules wait for it too."""
        try:
            self.action()
        finally:
            cancel(self.action)


class _Loader:
    """The module's own loader, but executing the module ends with the action.

    Not an importlib.abc.Loader: that import costs 10 ms.
    """

    def __init__(self, loader: "Any", executed: "Callable[[], None]") -> None:
        self.loader = loader
        self.executed = executed

    def __getattr__(self, name: str) -> "Any":
        return getattr(self.loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        # From here on the module is as if it had been loaded without us, for inspect and reload.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.executed()


def _load_pillow_inr() -> None:
    """Import pillow_inr, which registers itself; whatever fails must not fail the application."""
    try:
        # First Pillow, whose end comes here: then no thread gets a Pillow that does not know .inr files yet.
        import PIL.Image  # noqa: F401

        # A thread that is importing it registers it, too, and may be waiting for this one.
        if "pillow_inr" not in sys.modules:
            import pillow_inr  # noqa: F401
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name in ("pillow_inr", "PIL")):
            _warn(f"pillow_inr is set to load by itself but failed to: {type(error).__name__}: {error}")


def _warn(text: str) -> None:
    import warnings

    try:
        warnings.warn(f"{text} ('pillow-inr autoload disable' or {KILL_SWITCH}=0 ends this)", RuntimeWarning, 2)
    except RuntimeWarning as warning:  # they are errors here
        print(warning, file=sys.stderr)
