"""Users and groups: lines in the base's own passwd, group and shadow (passwd(5), group(5), shadow(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from oci_builder.bounded import parse_decimal
from oci_builder.errors import InvalidValue
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Inline, Kind, directory
from oci_builder.tree.tree import Tree

HOME_MODE = 0o750
_LAST_ID = 4_294_967_294
"""The last user or group ID: one more is -1, nobody's."""

_ORIGIN = "ocibuild user"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who the container's process is. Paths are absolute; uid and gid fit 32 bits.

    ``groups`` are further groups, each a name, or NAME:GID for one that may have to be made.
    """

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    groups: tuple[str, ...] = ()

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
        group.append(f"{user.name}:x:{user.gid}:")
    joined = _joined(group, user)
    if joined != _lines(base, "etc/group"):
        out.append(_account_file(base, "etc/group", joined))
    if "etc/shadow" in base:
        out.append(_account_file(base, "etc/shadow", [*_lines(base, "etc/shadow"), f"{user.name}:*:::::::"]))
    home = directory(user.home.strip("/"), mode=HOME_MODE, uid=user.uid, gid=user.gid, origin=_ORIGIN)
    return [*out, home]


def ids_of(base: Tree, user: str) -> tuple[int, int]:
    """User and group ID of a configuration's ``User``: numbers or names of ``base``'s accounts, ``uid[:gid]``.

    A user without a group has that of /etc/passwd. Raises InvalidValue for a name that is not there.
    """
    name, _, group = user.partition(":")
    account = _account(base, "etc/passwd", name)
    uid = next((number for number in (_id(name), *account[:1]) if number is not None), None)
    others = (_id(group), *_account(base, "etc/group", group)) if group else (*account[1:], 0)
    gid = next((number for number in others if number is not None), None)
    if uid is None or gid is None:
        raise InvalidValue("user of the base image", user, "its /etc/passwd or /etc/group has no such name")
    return uid, gid


def groups_of(base: Tree, user: str) -> frozenset[int]:
    """The further groups that engines give to a configuration's ``User``: /etc/group's, where it names no group."""
    name, _, group = user.partition(":")
    if group:
        return frozenset()
    passwd = (line.split(":") for line in _lines(base, "etc/passwd"))
    names = {fields[0] for fields in passwd if len(fields) > 2 and name in (fields[0], fields[2])}
    found = (line.split(":") for line in _lines(base, "etc/group"))
    ids = (_id(fields[2]) for fields in found if len(fields) > 3 and names & set(fields[3].split(",")))
    return frozenset(number for number in ids if number is not None)


def home_of(base: Tree, user: str) -> str:
    """The home that engines give to a configuration's ``User``, root without one: /etc/passwd's, else the root."""
    name = user.partition(":")[0] or "root"
    lines = (line.split(":") for line in _lines(base, "etc/passwd"))
    return next((fields[5] for fields in lines if len(fields) > 5 and name in (fields[0], fields[2])), "/")


def names_of(base: Tree, database: str) -> Mapping[int, str]:
    """The names in ``base``'s /etc/passwd ("passwd") or /etc/group ("group") by their numbers, the first of each."""
    found: dict[int, str] = {}
    for line in _lines(base, f"etc/{database}"):
        fields = line.split(":")
        number = _id(fields[2]) if len(fields) > 2 else None
        if number is not None:
            found.setdefault(number, fields[0])
    return found


def _joined(lines: list[str], user: User) -> list[str]:
    """The lines of /etc/group with ``user`` a member of its further groups. Raises InvalidValue."""
    lines = list(lines)
    for wanted in user.groups:
        name, _, number = wanted.partition(":")
        if _id(number or "0") is None:
            raise InvalidValue("group", wanted, f"a group ID is at most {_LAST_ID}")
        found = next((place for place, line in enumerate(lines) if line.split(":")[0] == name), None)
        if found is None and not number:
            hint = f'give it a number, as in groups = ["{name}:990"]'
            raise InvalidValue("group", name, "the base's /etc/group has no such name", hint=hint)
        if found is None:
            taken = next((line.split(":")[0] for line in lines if line.split(":")[2:3] == [str(int(number))]), None)
            if taken is not None:
                raise InvalidValue("group", wanted, f"{taken} has this number", hint="choose another number")
            lines.append(f"{name}:x:{int(number)}:{user.name}")
            continue
        fields = lines[found].split(":")
        if len(fields) != 4 or (number and fields[2] != str(int(number))):
            raise InvalidValue(
                "group", wanted, f"the base's /etc/group says {lines[found]!r}", hint="leave its number out"
            )
        members = [member for member in fields[3].split(",") if member]
        if user.name not in members:
            fields[3] = ",".join([*members, user.name])
        lines[found] = ":".join(fields)
    return lines


def _account(base: Tree, path: str, key: str) -> list[int]:
    """The numbers of the account with this name or number, its own and (passwd) its group's; none without one."""
    last = 4 if path.endswith("passwd") else 3
    for line in _lines(base, path):
        fields = line.split(":")
        if len(fields) > 3 and key in (fields[0], fields[2]):
            ids = [number for text in fields[2:last] if (number := _id(text)) is not None]
            if len(ids) == last - 2:
                return ids
    return []


def _id(text: str) -> int | None:
    """The user or group ID that ``text`` is; None for a name, and for what does not fit 32 bits."""
    try:
        return parse_decimal(text, most=_LAST_ID)
    except ValueError:
        return None


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
    with MappedFiles() as sources:
        text = sources.read(entry.content, what=f"/{path} of the base")
    # Not splitlines(): a person's name may hold what it takes for the end of a line.
    return [line for line in text.decode(errors="surrogateescape").split("\n") if line]


def _account_file(base: Tree, path: str, lines: list[str]) -> Entry:
    data = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    place = base.resolve(path)
    known = base.get(place)
    made = Entry(path=place, kind=Kind.FILE, mode=0o644, origin=_ORIGIN, size=len(data), content=Inline(data))
    if known is None:
        return made
    return replace(made, mode=known.mode, uid=known.uid, gid=known.gid)
