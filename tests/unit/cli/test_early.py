"""What can fail late fails first: nothing is fetched or made for an image that has nowhere to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fakeregistry import fake_registry, refuse
from tests.support.tiny import Tiny, build, make_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def nothing_was_made(tiny: Tiny) -> bool:
    """Whether the cache has no blob and no image was written."""
    return not list((tiny.cache / "v1" / "blobs" / "sha256").glob("*")) and not tiny.out.exists()


def test_a_copy_of_nothing_is_told_before_the_base_is_made(tiny: Tiny) -> None:
    recipe = tiny.image / "image.toml"
    recipe.write_text(f'{recipe.read_text()}\n[[copy]]\nsrc = "absent"\ndest = "/app/"\n')
    ending = build(tiny)
    assert ending.code == 1 and "absent: there is nothing to copy here" in ending.said
    assert nothing_was_made(tiny)
    # As the hint has it.
    (tiny.image / "absent").write_text("here now")
    assert build(tiny).code == 0


def test_a_folder_that_is_not_to_be_written_to_is_told_before_the_base_is_made(tiny: Tiny) -> None:
    # The kernel's own, which nobody writes to, root no more than others.
    closed = Path("/proc/self")
    ending = build(tiny, "--out", str(closed / "app.tar"))
    assert ending.code == 1 and "permission denied" in ending.said
    assert nothing_was_made(tiny)


def test_a_registry_that_lets_us_not_push_is_told_before_the_base_is_made(tiny: Tiny) -> None:
    with fake_registry() as registry:
        registry.does("POST .*/uploads/", refuse(403), lasting=True)
        ending = build(tiny, "--push", f"{registry.host}/team/app:1")
    assert ending.code == 1 and registry.host in ending.said
    assert nothing_was_made(tiny)


def test_what_a_registry_was_asked_leaves_no_upload_begun(tiny: Tiny) -> None:
    with fake_registry() as registry:
        assert build(tiny, "--push", f"{registry.host}/team/app:1").code == 0
        first = [line.partition(" ")[0] for line in registry.methods()][:3]
    assert first == ["HEAD", "POST", "DELETE"]
