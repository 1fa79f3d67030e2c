"""What tests of every folder may ask for: a store, and engines that other people wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from oci_builder.store import Store
from tests.support import engines
from tests.support.engines import Containerd, DockerLike
from tests.support.real import need, oracles

# How long it takes to think of inputs says how busy the machine is.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-golden``."""
    parser.addoption("--update-golden", action="store_true", help="write the golden digests anew instead of comparing")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def docker() -> Iterator[DockerLike]:
    """The distribution's docker daemon, one per test process."""
    need("/usr/sbin/dockerd", "/usr/bin/docker", "containerd", "runc")
    with engines.dockerd() as engine:
        yield engine


@pytest.fixture(scope="session")
def podman() -> Iterator[DockerLike]:
    """The distribution's podman."""
    need("/usr/bin/podman", "runc")
    with engines.podman() as engine:
        yield engine


@pytest.fixture(scope="session")
def containerd() -> Iterator[Containerd]:
    """The distribution's containerd."""
    need("/usr/bin/containerd", "/usr/bin/ctr", "runc")
    with engines.containerd() as engine:
        yield engine


@pytest.fixture(scope="session")
def newest_docker() -> Iterator[DockerLike]:
    """The newest docker daemon, with containerd's image store, where OCIBUILD_ORACLES has it."""
    folder = oracles("dockerd", "containerd", "containerd-shim-runc-v2", "runc")
    need("/usr/bin/docker")
    with engines.dockerd(newest=folder) as engine:
        yield engine


@pytest.fixture(scope="session")
def newest_graph_docker() -> Iterator[DockerLike]:
    """The newest docker daemon with a graph driver, where OCIBUILD_ORACLES has it."""
    folder = oracles("dockerd", "containerd", "containerd-shim-runc-v2", "runc")
    need("/usr/bin/docker")
    with engines.dockerd(newest=folder, graph=True) as engine:
        yield engine


@pytest.fixture(scope="session")
def newest_containerd() -> Iterator[Containerd]:
    """The newest containerd, where OCIBUILD_ORACLES has it."""
    folder = oracles("containerd", "ctr", "containerd-shim-runc-v2", "runc")
    with engines.containerd(newest=folder) as engine:
        yield engine
