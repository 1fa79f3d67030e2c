"""A registry that does what it is told, and nobody's connections outlive their test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oci_builder.image import Image
from oci_builder.registry.registries import Registries
from oci_builder.store import Store
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.images import random_image
from tests.support.registries import close_opened, open_registries


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_opened()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A running one."""
    with fake_registry() as found:
        yield found


@pytest.fixture
def registries(registry: FakeRegistry) -> Registries:
    """Somebody without a login, who does not wait between attempts."""
    return open_registries(registry.host)


@pytest.fixture
def image(store: Store) -> Image:
    """A small one of two layers."""
    return random_image(store, layers=2, size=30_000)
