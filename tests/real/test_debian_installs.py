"""Packages installed by apt-get, whose scripts run, and by ocibuild, which runs none: differences are of few kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import OcibuildError
from oci_builder.store import Store
from tests.parity.installs import Outcome, installs
from tests.support.chroots import PROGRAMS
from tests.support.real import need, skip

pytestmark = pytest.mark.real

LAYER = Path(__file__).parents[2] / "layers" / "python-3.11"
TRIES = (
    # Programs in C and Perl, links to the best of several programs, of several packages.
    ("git", "imagemagick", "less", "sqlite3", "vim-tiny"),
    # Folders of services with owners.
    ("nginx", "procps", "rsync", "unzip"),
    # A group, bytecode, answers of debconf's.
    ("fontconfig", "openssh-client", "supervisor"),
)
"""What is installed together; a dozen names."""


def tried(folder: Path, store: Store) -> list[Outcome]:
    try:
        return list(installs(TRIES, LAYER, store, folder))
    except OcibuildError as error:
        skip(f"apt-get gives no packages here ({error})")
        raise


def test_a_layer_of_packages_is_what_apt_get_installs_but_for_known_kinds(tmp_path: Path, store: Store) -> None:
    need(*PROGRAMS)
    outcomes = tried(tmp_path, store)
    assert {" ".join(one.names): one.lines for one in outcomes} == {" ".join(names): [] for names in TRIES}
    # Something was compared, and something differs: a comparison that finds nothing sees nothing.
    assert all(one.entries > 50 and {"database", "loader"} <= set(one.kinds) for one in outcomes)
    assert sum(one.kinds["documentation"] for one in outcomes) > 500
