"""Users in the base's own account files."""

from __future__ import annotations

import pytest

from oci_builder.errors import InvalidValue
from oci_builder.tree.accounts import User, add_user
from oci_builder.tree.entry import Entry, Inline, Kind, file
from tests.support.targets import base_tree

SANDBOX = User(name="sandbox", uid=1000, gid=1000, home="/home/sandbox", shell="/bin/sh")
FILES = (
    file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", origin="base"),
    file("etc/group", b"root:x:0:\nshadow:x:42:\n", origin="base"),
    file("etc/shadow", b"root:*:::::::\n", mode=0o640, gid=42, origin="base"),
)


def added(*files: Entry, user: User = SANDBOX) -> dict[str, Entry]:
    return {entry.path: entry for entry in add_user(base_tree(*files), user)}


def text(entry: Entry) -> str:
    assert isinstance(entry.content, Inline)
    return entry.content.data.decode()


def test_the_user_is_appended_to_what_the_base_has() -> None:
    entries = added(*FILES)
    assert text(entries["etc/passwd"]) == (
        "root:x:0:0:root:/root:/bin/sh\nsandbox:x:1000:1000::/home/sandbox:/bin/sh\n"
    )
    assert text(entries["etc/group"]) == "root:x:0:\nshadow:x:42:\nsandbox:x:1000:\n"
    assert text(entries["etc/shadow"]) == "root:*:::::::\nsandbox:*:::::::\n"


def test_the_account_files_keep_their_owner_and_mode() -> None:
    shadow = added(*FILES)["etc/shadow"]
    assert (shadow.mode, shadow.gid) == (0o640, 42)


def test_the_home_is_the_users_alone() -> None:
    home = added(*FILES)["home/sandbox"]
    assert (home.kind, home.mode, home.uid, home.gid) == (Kind.DIRECTORY, 0o750, 1000, 1000)


def test_a_base_without_account_files_gets_those_that_are_needed() -> None:
    assert set(added()) == {"etc/passwd", "etc/group", "home/sandbox"}


def test_a_group_that_exists_is_not_added_again() -> None:
    user = User(name="me", uid=1000, gid=42, home="/home/me", shell="/bin/sh")
    assert "etc/group" not in added(*FILES, user=user)


@pytest.mark.parametrize(("name", "uid"), [("root", 1000), ("me", 0)])
def test_a_name_or_uid_that_is_taken_is_refused(name: str, uid: int) -> None:
    user = User(name=name, uid=uid, gid=uid, home="/home/me", shell="/bin/sh")
    with pytest.raises(InvalidValue, match="/etc/passwd has root"):
        added(*FILES, user=user)
