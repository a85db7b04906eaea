"""The last of many settings that fits."""

import pytest

from pillow_inr.encoding.bisection import last_that_fits


@pytest.mark.parametrize("limit", [0, 1, 17, 99, 100])
def test_search_finds_the_last_that_fits(limit: int) -> None:
    tried: list[int] = []

    def fits(index: int) -> bool:
        tried.append(index)
        return index < limit

    assert last_that_fits(100, fits) == limit - 1
    assert len(set(tried)) < 14


def test_search_looks_past_a_dent() -> None:
    # Sizes do not rise at every step: 50 does not fit, but 51 does.
    assert last_that_fits(100, lambda index: index < 50 or index == 51) == 51
