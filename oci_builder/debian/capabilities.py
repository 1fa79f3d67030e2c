"""setcap and getcap: capabilities of files (capabilities(7)) as the extended attribute that a layer carries."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from oci_builder.debian.shell import Call, Command
from oci_builder.tree.entry import Kind

ATTRIBUTE = "security.capability"
_REVISION_2 = 0x02000000
_EFFECTIVE = 1

_NAMES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner"),
    *("sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
    *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    "checkpoint_restore",
)
"""By number (linux/capability.h)."""

_CLAUSE = re.compile(r"([a-z_,]*)((?:[-+=][eip]*)+)")


def _bits(call: Call, names: str) -> int:
    bits = 0
    for name in names.split(",") if names else ["all"]:
        if name == "all":
            bits |= (1 << len(_NAMES)) - 1
        elif name.removeprefix("cap_") in _NAMES:
            bits |= 1 << _NAMES.index(name.removeprefix("cap_"))
        else:
            raise call.unknown(f"there is no capability {name}")
    return bits


def _sets(call: Call, text: str) -> dict[str, int]:
    """The effective, inheritable and permitted set of a text (cap_from_text(3))."""
    found = {"e": 0, "i": 0, "p": 0}
    for word in text.split():
        match = _CLAUSE.fullmatch(word)
        if match is None:
            raise call.unknown("its capabilities are not known here")
        bits = _bits(call, match[1])
        for operator, flags in re.findall(r"([-+=])([eip]*)", match[2]):
            for flag, before in found.items():
                if operator == "=":
                    found[flag] = before & ~bits
                if flag in flags:
                    found[flag] = found[flag] & ~bits if operator == "-" else found[flag] | bits
    return found


def encoded(sets: Mapping[str, int]) -> bytes:
    """The attribute that the kernel reads (struct vfs_cap_data)."""
    words = [sets[flag] >> shift & 0xFFFFFFFF for shift in (0, 32) for flag in ("p", "i")]
    return struct.pack("<5I", _REVISION_2 | (_EFFECTIVE if sets["e"] else 0), *words)


def _setcap(call: Call) -> int:
    words = [word for word in call.arguments if word not in ("-q", "-v")]
    if len(words) != 2 or "-v" in call.arguments:
        raise call.unknown("what it is to do is not known here")
    text, path = words
    entry = call.tree.get(path)
    if entry is None or entry.kind is not Kind.FILE:
        return 1
    others = tuple(each for each in entry.attributes if each[0] != ATTRIBUTE)
    if text == "-r":
        if len(others) == len(entry.attributes):
            return 1
        call.tree.change(path, attributes=others)
        return 0
    sets = _sets(call, text)
    if sets["e"] and sets["e"] != sets["p"] | sets["i"]:
        raise call.unknown("a file is effective in all of its capabilities, or in none")
    value = encoded(sets).decode("utf-8", "surrogateescape")
    call.tree.change(path, attributes=(*others, (ATTRIBUTE, value)))
    return 0


def _getcap(call: Call) -> int:
    for path in call.arguments:
        if path.startswith("-"):
            raise call.unknown("its option is not known here")
        entry = call.tree.get(path)
        held = dict(entry.attributes).get(ATTRIBUTE) if entry is not None else None
        if held is not None:
            text = _text(held.encode("utf-8", "surrogateescape"))
            if " " in text:
                raise call.unknown("how it tells of several sets is not known here")
            call.say(f"{path} {text}\n")
    return 0


def _text(data: bytes) -> str:
    magic, low, inherited_low, high, inherited_high = struct.unpack("<5I", data)
    permitted, inherited = low | high << 32, inherited_low | inherited_high << 32
    by_flags: dict[str, list[str]] = {}
    for number, name in enumerate(_NAMES):
        flags = "i" * (inherited >> number & 1) + "p" * (permitted >> number & 1)
        if flags:
            by_flags.setdefault(f"{'e' if magic & _EFFECTIVE else ''}{flags}", []).append(f"cap_{name}")
    return " ".join(f"{','.join(names)}={flags}" for flags, names in by_flags.items()) or "="


CAPABILITIES: Mapping[str, Command] = {"getcap": _getcap, "setcap": _setcap}
"""The commands, by name."""
