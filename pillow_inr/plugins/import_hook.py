"""Calls a function once another module has been imported; `install` loads pillow_inr after Pillow or imageio.

`pillow-inr autoload enable` copies this file into site-packages. Therefore it stands alone, works when pillow_inr is
gone, and imports at its top only what every interpreter has loaded anyway.
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
# imageio.config defines imageio's lists of extensions and plugins.
AWAITED = ("PIL.Image", "imageio.config")


def install() -> None:
    """Import pillow_inr when the application imports Pillow or imageio, unless PILLOW_INR_AUTOLOAD=0; idempotent."""
    if os.environ.get(KILL_SWITCH) != "0":
        after_import(AWAITED, _load_pillow_inr)


def after_import(names: "Sequence[str]", action: "Callable[[], object]") -> None:
    """Call an action when one of these modules has been imported: now, if one has been already.

    Calling this again with an action that still waits changes nothing. If several threads import the modules, the
    action may be called twice, and while another thread still executes one of them: `__import__` waits for that.
    """
    if any(name in sys.modules for name in names):
        action()
        return
    for finder in _finders(action):
        finder.names = finder.names or names
        return
    sys.meta_path.insert(0, AfterImport(names, action))


def cancel(action: "Callable[[], object]") -> None:
    """Do not call an action that still waits."""
    for finder in _finders(action):
        finder.names = ()


def _finders(action: "Callable[[], object]") -> "list[AfterImport]":
    return [finder for finder in sys.meta_path if isinstance(finder, AfterImport) and finder.action is action]


class AfterImport:
    """A finder that leaves the awaited modules to the finders behind it, and acts once the first one is executed.

    It waits for the execution, because a module that is found need not be imported. Afterwards it waits for nothing
    but stays in sys.meta_path: removing it would make another thread that is iterating over the list skip a finder,
    and a new list would lose what another thread is inserting into the old one.
    """

    def __init__(self, names: "Sequence[str]", action: "Callable[[], object]") -> None:
        self.names = names
        """The awaited modules; () if it waits no more."""
        self.action = action

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec of an awaited module, with its loader wrapped; None for other modules."""
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
        """The finders that the import system would ask after this one, so that two of ours cannot ask each other."""
        finders: list[Any] = list(sys.meta_path)
        if self in finders:
            del finders[: finders.index(self) + 1]
        return [finder for finder in finders if hasattr(finder, "find_spec")]

    def executed(self) -> None:
        """Act, then wait no more. Other threads that import awaited modules meanwhile act before they get them."""
        try:
            self.action()
        finally:
            self.names = ()


class _Loader:
    """The module's own loader, with the action after the module's execution.

    It does not derive from importlib.abc.Loader, whose import costs 10 ms.
    """

    def __init__(self, loader: "Any", executed: "Callable[[], None]") -> None:
        self.loader = loader
        self.executed = executed

    def __getattr__(self, name: str) -> "Any":
        return getattr(self.loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        # inspect and reload must find the module as if it had been loaded without us.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.executed()


def _load_pillow_inr() -> None:
    """Import pillow_inr, which registers itself. No failure may reach the application."""
    try:
        # This waits for the end of Pillow's import, so that no thread gets a Pillow that does not know .inr files yet.
        import PIL.Image  # noqa: F401

        # If another thread is importing pillow_inr, that registers it, too; it may be waiting for this thread.
        if "pillow_inr" not in sys.modules:
            import pillow_inr  # noqa: F401
    except Exception as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name in ("pillow_inr", "PIL")):
            _warn(f"pillow_inr is set to load by itself but failed to: {type(error).__name__}: {error}")


def _warn(text: str) -> None:
    import warnings

    try:
        warnings.warn(f"{text} ('pillow-inr autoload disable' or {KILL_SWITCH}=0 ends this)", RuntimeWarning, 2)
    except RuntimeWarning as warning:  # the application turns warnings into errors
        print(warning, file=sys.stderr)
