"""useradd, adduser and their like, of Debian and of Alpine's busybox: what account they make."""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_builder.dockerfiles.draft import Account, number_of

_VALUED = {
    "-u": "uid",
    "--uid": "uid",
    "-g": "group",
    "--gid": "group",
    "--ingroup": "group",
    "-d": "home",
    "--home": "home",
    "--home-dir": "home",
    "-h": "home",
    "-s": "shell",
    "--shell": "shell",
    "-G": "groups",
    "--groups": "groups",
    "-c": "comment",
    "--comment": "comment",
    "--gecos": "comment",
    "-b": "comment",
    "-k": "comment",
    "-p": "comment",
    "--password": "comment",
    "-K": "comment",
}


@dataclass
class _Said:
    names: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)


def make_user(words: list[str]) -> Account | None:
    """The account that a command makes; None for one that names nobody."""
    said = _read(words)
    if words[0].endswith("adduser") and "-G" in words and "groups" in said.values and "group" not in said.values:
        said.values["group"] = said.values.pop("groups")  # busybox: the group that it has
    if not said.names:
        return None
    group = said.values.get("group", "")
    return Account(
        name=said.names[0],
        uid=number_of(said.values.get("uid", "")),
        gid=number_of(group),
        group="" if number_of(group) is not None else group,
        home=said.values.get("home", ""),
        shell=said.values.get("shell", ""),
        groups=[name for name in said.values.get("groups", "").split(",") if name],
    )


def make_group(words: list[str]) -> tuple[str, int | None]:
    """The name and the number of the group that a command makes; the number is None where the system chooses."""
    said = _read(words)
    return (said.names[-1] if said.names else ""), number_of(said.values.get("group", ""))


def _read(words: list[str]) -> _Said:
    said, rest = _Said(), iter(words[1:])
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag in _VALUED and flag.startswith("-"):
            said.values[_VALUED[flag]] = value if equals else next(rest, "")
        elif not word.startswith("-"):
            said.names.append(word)
        elif len(word) > 2 and not word.startswith("--") and f"-{word[-1]}" in _VALUED:
            said.values[_VALUED[f"-{word[-1]}"]] = next(rest, "")  # -rmu 1000
    return said
