"""The cache folder is the user's own."""

from pathlib import Path

import pytest

from pillow_inr.runtime import user_cache


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/var/mine"}, "/var/mine/pillow_inr"),
        ("linux", {"XDG_CACHE_HOME": "mine"}, "/home/me/.cache/pillow_inr"),
        ("linux", {}, "/home/me/.cache/pillow_inr"),
        ("darwin", {}, "/home/me/Library/Caches/pillow_inr"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/pillow_inr"),
        ("win32", {}, None),
    ],
)
def test_the_folder_is_the_users(
    platform: str, variables: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**variables, "HOME": "/home/me"}.items():
        monkeypatch.setenv(name, value)
    found = user_cache.folder()
    assert (None if found is None else found.as_posix()) == expected


def test_a_user_without_a_home_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert user_cache.folder() is None
