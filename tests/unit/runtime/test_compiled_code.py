"""Where TensorFlow is told to keep compiled code, and that nothing of it stays in the environment."""

import os
import stat
from pathlib import Path

import pytest

from pillow_inr.runtime import compiled_code

VARIABLE = "TF_XLA_FLAGS"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "pillow_inr"


def test_the_setting_is_there_for_a_moment(cache: Path) -> None:
    with compiled_code.kept():
        place = Path(os.environ[VARIABLE].partition("=")[2])
        assert place.parent == cache
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert VARIABLE not in os.environ


def test_other_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "--tf_xla_auto_jit=2")
    with compiled_code.kept():
        assert os.environ[VARIABLE].startswith("--tf_xla_auto_jit=2 --tf_xla_persistent_cache_directory=/")
    assert os.environ[VARIABLE] == "--tf_xla_auto_jit=2"


def test_the_users_own_cache_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = "--tf_xla_persistent_cache_directory=/mine"
    monkeypatch.setenv(VARIABLE, mine)
    with compiled_code.kept():
        assert os.environ[VARIABLE] == mine
    assert os.environ[VARIABLE] == mine


def test_the_setting_goes_after_an_error(cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt), compiled_code.kept():
        raise KeyboardInterrupt
    assert VARIABLE not in os.environ


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_others_may_write_to_is_not_used(cache: Path) -> None:
    place = compiled_code.folder()
    assert place is not None
    place.chmod(0o777)
    assert compiled_code.folder() is None
    place.chmod(0o700)
    cache.chmod(0o770)
    assert compiled_code.folder() is None


def test_a_place_that_flags_cannot_hold_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "Jane Doe"))
    assert compiled_code.folder() is None


def test_without_a_writable_home_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with compiled_code.kept():
        assert VARIABLE not in os.environ
