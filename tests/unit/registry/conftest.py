"""No connection outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.registries import close_opened


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_opened()
