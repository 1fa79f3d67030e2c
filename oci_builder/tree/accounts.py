"""Users and groups: lines in the base's own passwd, group and shadow (passwd(5), group(5), shadow(5))."""

from __future__ import annotations

from dataclasses import dataclass, replace

from oci_builder.errors import InvalidValue
from oci_builder.tree.content import Sources
from oci_builder.tree.entry import Entry, Inline, Kind, directory
from oci_builder.tree.tree import Tree

HOME_MODE = 0o750
_ORIGIN = "ocibuild user"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who the container's process is. Paths are absolute; uid and gid fit 32 bits."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def numeric(self) -> str:
        """``1000:1000``: a name would have to be looked up, and a uid alone means group 0."""
        return f"{self.uid}:{self.gid}"


def add_user(base: Tree, user: User) -> list[Entry]:
    """The account files of ``base`` with ``user`` appended, and the user's home.

    A base without /etc/passwd gets one; without /etc/shadow it gets none. Raises InvalidValue when the name or uid is
    somebody else's there.
    """
    passwd, group = _lines(base, "etc/passwd"), _lines(base, "etc/group")
    _check(user, passwd, "/etc/passwd")
    out = [_account_file(base, "etc/passwd", [*passwd, _passwd_line(user)])]
    if not any(line.split(":")[2:3] == [str(user.gid)] for line in group):
        out.append(_account_file(base, "etc/group", [*group, f"{user.name}:x:{user.gid}:"]))
    if "etc/shadow" in base:
        out.append(_account_file(base, "etc/shadow", [*_lines(base, "etc/shadow"), f"{user.name}:*:::::::"]))
    home = directory(user.home.strip("/"), mode=HOME_MODE, uid=user.uid, gid=user.gid, origin=_ORIGIN)
    return [*out, home]


def _passwd_line(user: User) -> str:
    return f"{user.name}:x:{user.uid}:{user.gid}::{user.home}:{user.shell}"


def _check(user: User, passwd: list[str], place: str) -> None:
    for line in passwd:
        name, _, rest = line.partition(":")
        uid = rest.split(":")[1:2]
        if name == user.name or uid == [str(user.uid)]:
            raise InvalidValue(
                "new user",
                f"{user.name} ({user.uid})",
                f"the base's {place} has {name} ({''.join(uid)}) already",
                hint="choose another [user] name and uid in image.toml",
            )


def _lines(base: Tree, path: str) -> list[str]:
    entry = base.get(base.resolve(path))
    if entry is None or entry.content is None:
        return []
    with Sources() as sources:
        text = sources.read(entry.content, what=f"/{path} of the base")
    return [line for line in text.decode(errors="surrogateescape").splitlines() if line]


def _account_file(base: Tree, path: str, lines: list[str]) -> Entry:
    data = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    place = base.resolve(path)
    known = base.get(place)
    made = Entry(path=place, kind=Kind.FILE, mode=0o644, origin=_ORIGIN, size=len(data), content=Inline(data))
    if known is None:
        return made
    return replace(made, mode=known.mode, uid=known.uid, gid=known.gid)
