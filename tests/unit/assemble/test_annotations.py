"""What an image says of where it comes from."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from oci_builder.debian.lock import lock_path, read_lock
from oci_builder.layer import FORMAT
from oci_builder.platforms import AMD64
from oci_builder.version import __version__
from tests.support.debian import MTIME
from tests.support.tiny import Tiny, build, built, make_tiny
from tests.support.wheels import sha256

DEFINED = "org.opencontainers.image"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def said(tiny: Tiny, *flags: str) -> tuple[dict[str, str], dict[str, str], str]:
    """Build; the manifest's annotations, the configuration's labels, and its date."""
    built(tiny, *flags)
    with tarfile.open(tiny.out) as archive:

        def blob(name: str) -> Any:
            file = archive.extractfile(name)
            assert file is not None
            return json.load(file)

        manifest = blob(f"blobs/sha256/{blob('index.json')['manifests'][0]['digest'].removeprefix('sha256:')}")
        config = blob(f"blobs/sha256/{manifest['config']['digest'].removeprefix('sha256:')}")
    return manifest["annotations"], config["config"]["Labels"], config["created"]


def test_an_image_names_its_locks_its_tool_and_its_layers_format(tiny: Tiny) -> None:
    annotations, labels, created = said(tiny)
    expected = {
        f"{DEFINED}.base.name": "tiny",
        f"{DEFINED}.base.digest": str(read_lock(lock_path(tiny.base, AMD64)).digest),
        "dev.ocibuild.lock": f"sha256:{sha256(tiny.image / 'pylock.toml')}",
        "dev.ocibuild.version": __version__,
        "dev.ocibuild.layer-format": str(FORMAT),
    }
    assert labels == expected
    assert annotations == {**expected, f"{DEFINED}.created": created}


def test_without_a_lock_none_is_named(tiny: Tiny) -> None:
    (tiny.image / "pylock.toml").unlink()
    annotations, labels, _ = said(tiny)
    assert "dev.ocibuild.lock" not in annotations and "dev.ocibuild.lock" not in labels


def test_revision_and_source_are_what_the_user_says(tiny: Tiny) -> None:
    given = {f"{DEFINED}.revision": "abc", f"{DEFINED}.source": "https://git.example/app", "team": "x"}
    annotations, labels, _ = said(tiny, *(word for key, text in given.items() for word in ("--label", f"{key}={text}")))
    assert given.items() <= labels.items()
    assert annotations[f"{DEFINED}.revision"] == "abc" and annotations[f"{DEFINED}.source"] == "https://git.example/app"
    assert "team" not in annotations
    assert f"{DEFINED}.revision" not in said(tiny)[0]


def test_the_date_is_that_of_the_bases_lock_or_source_date_epoch(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations, _, created = said(tiny)
    assert created == "2020-09-13T12:26:40Z" and MTIME == 1_600_000_000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    annotations, _, created = said(tiny)
    assert created == annotations[f"{DEFINED}.created"] == "2023-11-14T22:13:20Z"
    assert said(tiny, "--epoch", "0")[2] == "1970-01-01T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert build(tiny).code == 2
