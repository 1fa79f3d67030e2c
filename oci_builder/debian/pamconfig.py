"""pam-auth-update: the common files of PAM from the profiles of packages, where nobody has changed or chosen any."""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian.shell import Call

_PROFILES, _TEMPLATES, _FILES, _SAVED = "/usr/share/pam-configs", "/usr/share/pam", "/etc/pam.d", "/var/lib/pam"
_TYPES = ("auth", "account", "password", "session", "session-noninteractive")
_BLOCKS = (
    (
        "Primary",
        '# here are the per-package modules (the "Primary" block)',
        "# here's the fallback if no module succeeds",
    ),
    (
        "Additional",
        '# and here are more per-package modules (the "Additional" block)',
        "# end of pam-auth-update config",
    ),
)
_NOBODY = "[default=1]\t\t\tpam_permit.so"
_LINE = re.compile(r"((?:\[[^]]+\]|\w+)\s+\S+)\s*(.*)")
_Profile = Mapping[str, str]


def pam_auth_update(call: Call) -> int:
    """Write the common files of PAM anew, with all profiles that are so by default."""
    words = list(call.arguments)
    while words:
        word = words.pop(0)
        if word == "--root" and words[:1] == [""]:
            words.pop(0)
        elif word not in ("--package", "--force"):
            raise call.unknown(f"its option {word} is not known here")
    profiles = {name: _profile(call, name) for name in call.tree.children(_PROFILES) if not name.endswith("~")}
    order = sorted(profiles, key=lambda name: (_priority(profiles[name]), name), reverse=True)
    chosen = [name for name in order if profiles[name].get("Default") == "yes"]
    for name in chosen:
        if {each for each in profiles[name].get("Conflicts", "").split(", ") if each} & set(chosen):
            raise call.unknown(f"the profile {name} conflicts with another")
    if not call.tree.is_folder(_SAVED):
        call.tree.folder(_SAVED)
    call.tree.write(f"{_SAVED}/seen", "".join(f"{name}\n" for name in order))
    for kind in _TYPES:
        _write(call, kind, {name: profiles[name] for name in chosen})
    return 0


def _priority(profile: _Profile) -> int:
    text = profile.get("Priority", "0")
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else 0


def _profile(call: Call, name: str) -> _Profile:
    fields: dict[str, str] = {}
    key = ""
    for line in call.tree.read(f"{_PROFILES}/{name}").splitlines():
        match = re.fullmatch(r"(\S+):\s+(.*?)\s*", f"{line} ") if re.match(r"\S+:", line) else None
        if match is not None and match[2]:
            key = match[1].removesuffix("-Final")
            fields[key] = match[2]
        elif match is not None or re.fullmatch(r"\S+:", line):
            # What stands on lines of its own follows.
            key = line.split(":")[0].removesuffix("-Final")
            fields[key] = ""
        elif line.strip():
            fields[key] = f"{fields.get(key, '')}\n{line.strip()}".lstrip("\n ")
    if "Session-Interactive-Only" not in fields:
        for each in ("", "-Type", "-Initial"):
            if f"Session{each}" in fields:
                fields[f"Session-noninteractive{each}"] = fields[f"Session{each}"]
    return fields


def _write(call: Call, kind: str, profiles: Mapping[str, _Profile]) -> None:
    key = kind[:1].upper() + kind[1:]
    template = call.tree.read(f"{_TEMPLATES}/common-{kind}").splitlines(keepends=True)
    plain = kind.removesuffix("-noninteractive")
    out: list[str] = []
    saved = ""
    skipping = ""
    for line in template:
        if skipping and not line.startswith(skipping):
            continue
        skipping = ""
        out.append(line)
        for block, begin, end in _BLOCKS:
            if line.startswith(begin):
                stacks = _stacks(profiles, key, block)
                out += _lines(plain, stacks, block)
                saved += "".join(f"Module: {name}\n{text}\n" for name, text in stacks if text)
                saved += f"Module: null\n{_NOBODY}\n" if block == "Primary" and not stacks else ""
                skipping = end
    call.tree.write(f"{_FILES}/common-{kind}", "".join(out))
    call.tree.write(f"{_SAVED}/{kind}", saved)


def _stacks(profiles: Mapping[str, _Profile], key: str, block: str) -> list[tuple[str, str]]:
    """The lines of each profile that has some in a block; the first one's may be others."""
    names = [name for name, profile in profiles.items() if profile.get(f"{key}-Type") == block]
    return [
        (name, (profiles[name].get(f"{key}-Initial") if not at else "") or profiles[name].get(key, ""))
        for at, name in enumerate(names)
    ]


def _lines(kind: str, stacks: list[tuple[str, str]], block: str) -> list[str]:
    lines = [line for _, text in stacks for line in text.split("\n") if line]
    # Jumps go over what is left of the block.
    count = len(lines) - (block == "Additional")
    if block == "Primary" and not lines:
        return [f"{kind}\t{_NOBODY}\n"]
    out = []
    for line in lines:
        match = _LINE.match(line)
        start, rest = (match[1], match[2].split()) if match is not None else (line, [])
        out.append(f"{kind}\t{start.replace('end', str(count))} {' '.join(rest)}\n")
        count -= 1
    return out
