"""Commands that maintainer scripts call: what each makes of a tree, or that it does nothing there.

Each is a function of its call: it changes the tree that the script is walked over, and gives its status. An argument
that none of them knows ends the walk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_builder.debian.alternatives import update_alternatives
from oci_builder.debian.apache import APACHE
from oci_builder.debian.awk import awk
from oci_builder.debian.capabilities import CAPABILITIES
from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.debconf import DEBCONF
from oci_builder.debian.dpkgcommands import DPKG, TRIGGER
from oci_builder.debian.filecommands import FILES
from oci_builder.debian.filemodes import account, account_name
from oci_builder.debian.findcommand import FINDING
from oci_builder.debian.grep import grep
from oci_builder.debian.installcommand import install
from oci_builder.debian.keystore import java
from oci_builder.debian.localecommands import LOCALE_COMMANDS
from oci_builder.debian.newusers import ACCOUNTS
from oci_builder.debian.pamconfig import pam_auth_update
from oci_builder.debian.plugintables import PLUGIN_TABLES
from oci_builder.debian.registries import REGISTRIES
from oci_builder.debian.schemas import compile_schemas
from oci_builder.debian.sed import sed
from oci_builder.debian.shell import Call, Command
from oci_builder.debian.shellbuiltins import BUILTINS, idle
from oci_builder.debian.textcommands import TEXTS
from oci_builder.tree.entry import Kind

__all__ = ["COMMANDS", "TRIGGER"]


def _uname(call: Call) -> int:
    if list(call.arguments) not in ([], ["-s"]):
        raise call.unknown("what it asks for is not known here")
    call.say("Linux\n")
    return 0


def _ucf(call: Call) -> int:
    """Copy a configuration file to where it is read; nobody has changed it."""
    words = {"--three-way": "w", "--debconf-ok": "o", "--sum-file": "s", "--src-dir": "d", "--state-dir": "d"}
    letters, _, paths = values_of(call, "p", {"s": "s", "d": "d"}, {**words, "--purge": "p"})
    if "p" in letters:
        # What it knows of a file is forgotten, which is nothing.
        return 0
    if len(paths) != 2:
        raise call.unknown("what it is to do is not known here")
    source, path = paths
    entry = call.tree.get(source)
    if entry is None or entry.kind is not Kind.FILE:
        return 1
    if not call.tree.has(path):
        call.tree.copy(entry, path)
    return 0


def _id(call: Call) -> int:
    letters, _, names = values_of(call, "ugGnr", {}, {"--user": "u", "--group": "g", "--groups": "G", "--name": "n"})
    if len(names) > 1 or len(letters & set("ugG")) > 1:
        raise call.unknown("whom it asks about is not known here")
    line = account(call, "passwd", names[0] if names else "0")
    if line is None:
        return 1
    if not letters:
        # Only whether somebody is there is asked so.
        call.say(f"{line.split(':')[0]}\n")
        return 0
    name, _, uid, gid = line.split(":")[:4]
    groups = [gid, *_groups_of(call, name, gid)]
    found = {"u": [uid], "g": [gid], "G": groups}[next(iter(letters & set("ugG")), "u")]
    if "n" in letters:
        found = [account_name(call, "passwd" if "u" in letters else "group", int(each)) for each in found]
    call.say(f"{' '.join(found)}\n")
    return 0


def _groups_of(call: Call, name: str, own: str) -> list[str]:
    lines = (line.split(":") for line in call.tree.read("/etc/group").splitlines())
    return [line[2] for line in lines if len(line) == 4 and name in line[3].split(",") and line[2] != own]


def _font_lists(call: Call) -> int:
    """mkfontscale and mkfontdir: lists for the X server's own fonts, which has some built in; others use fontconfig."""
    call.tree.lacking["the lists of fonts for X's core protocol (fonts.dir, fonts.scale)"] = None
    return 0


def _python(call: Call) -> int:
    """A Python that compiles modules of a package: that is done at their first import, or when the image is made."""
    words = [word for word in call.arguments if word not in ("-E", "-S", "-I", "-O", "-OO", "-Wi")]
    if words[:1] and re.fullmatch(r"(?:/usr/lib/python3\.[0-9]+/)?(?:py_compile|compileall)\.py", words[0]):
        return 0
    raise call.unknown("what it runs is not known here")


def _helpztags(call: Call) -> int:
    folder = call.arguments[0] if call.arguments else ""
    if call.tree.is_folder(folder) and any(name.endswith((".txt", "x")) for name in call.tree.children(folder)):
        raise call.unknown(f"it would list what is in {folder}")
    return 0


def _start_stop(call: Call) -> int:
    """start-stop-daemon, where there is nothing to stop."""
    if not {"--stop", "-K", "--status", "-T"} & set(call.arguments):
        raise call.unknown("it would start something")
    return int("--oknodo" not in call.arguments and "-o" not in call.arguments)


def _as_somebody(call: Call) -> int:
    """runuser and setpriv: what is started as somebody else has to change nothing, for it would be theirs."""
    words = list(call.arguments)
    if "--" in words:
        words = words[words.index("--") + 1 :]
    elif call.name == "setpriv":
        words = [word for word in words if not word.startswith("--")]
    else:
        raise call.unknown("whom it starts what as is not known here")
    before = len(call.tree.made)
    status = call.shell.call(words)
    if len(call.tree.made) != before:
        raise call.unknown("what it makes would be somebody else's")
    return status


def _mountpoint(call: Call) -> int:
    """Whether a path is where something is mounted: what every container has."""
    _, _, paths = values_of(call, "qd", {}, {"--quiet": "q"})
    return int(paths not in (["/proc"], ["/dev"], ["/sys"]))


def _squid(call: Call) -> int:
    if list(call.arguments) != ["-k", "parse"]:
        raise call.unknown("what it is to do is not known here")
    # It looks whether its configuration holds, which is the package's own.
    return 0


def _paperconf(call: Call) -> int:
    """paperconf: the paper that /etc/papersize names, which libpaper1 makes a4 where nobody says otherwise."""
    lines = call.tree.read("/etc/papersize").split() if call.tree.has("/etc/papersize") else ["a4"]
    if call.arguments or len(lines) != 1:
        raise call.unknown("which paper there is is not known here")
    call.say(f"{lines[0]}\n")
    return 0


def _locale(call: Call) -> int:
    """locale: the paper of the C locale, which is what an image has."""
    known = {"width": "210", "height": "297", "LC_PAPER": "297\n210", "charmap": "ANSI_X3.4-1968"}
    if len(call.arguments) != 1 or not re.fullmatch("[A-Za-z_]+", call.arguments[0]):
        raise call.unknown("what it asks for is not known here")
    if call.arguments[0] not in known:
        raise call.unknown("what it asks for is not known here")
    call.say(f"{known[call.arguments[0]]}\n")
    return 0


_IDLE = (
    # Services: no init system runs in a container.
    *("deb-systemd-helper", "deb-systemd-invoke", "systemctl", "update-rc.d", "invoke-rc.d", "service"),
    # Caches that a program makes when it lacks them, or that only make it faster.
    *("fc-cache", "py3compile", "py3clean", "pypy3compile", "pypy3clean", "ldconfig", "gio-querymodules"),
    # Menus and icons of desktops, and what only they ask for.
    *("update-menus", "update-mime", "update-desktop-database", "update-icon-caches", "gtk-update-icon-cache"),
    *("update-mime-database", "mandb", "catman", "install-docs", "update-initramfs", "udevadm", "restorecon"),
    # What the kernel has, which is the host's; the words of a dictionary for readers who chose none.
    *("apparmor_parser", "modprobe", "update-dictcommon-hunspell", "update-dictcommon-aspell"),
    *("aspell-autobuildhash", "update-binfmts", "sysctl", "sync", "sleep", "logger", "journalctl"),
    # Catalogs of XML and SGML, whose tools are left out of images as well.
    *("update-xmlcatalog", "update-catalog"),
    # Messages to services that do not run; keys and numbers of a machine, which are never made.
    *("dbus-send", "dbus-uuidgen", "systemd-machine-id-setup", "ssh-keygen", "make-ssl-cert", "ucfr"),
)
"""What does nothing, or nothing that a container has a use for."""

_NOTHING_RUNS = ("pidof", "pgrep", "aa-enabled", "ischroot", "killall", "pkill", "stty", "tput", "runlevel")
"""What looks for something that runs, and finds nothing."""

COMMANDS: Mapping[str, Command] = {
    **dict.fromkeys(_IDLE, idle(0)),
    **dict.fromkeys(_NOTHING_RUNS, idle(1)),
    **dict.fromkeys(("grep", "egrep", "fgrep"), grep),
    **dict.fromkeys(("runuser", "setpriv"), _as_somebody),
    **APACHE,
    **dict.fromkeys(("python3", *(f"python3.{minor}" for minor in range(9, 20))), _python),
    **BUILTINS,
    **CAPABILITIES,
    **DEBCONF,
    **DPKG,
    **ACCOUNTS,
    **FILES,
    **FINDING,
    **PLUGIN_TABLES,
    **REGISTRIES,
    **LOCALE_COMMANDS,
    **TEXTS,
    "id": _id,
    "helpztags": _helpztags,
    "install": install,
    "java": java,
    "locale": _locale,
    "mkfontscale": _font_lists,
    "mkfontdir": _font_lists,
    "mountpoint": _mountpoint,
    "awk": awk,
    "sed": sed,
    "glib-compile-schemas": compile_schemas,
    "pam-auth-update": pam_auth_update,
    "paperconf": _paperconf,
    "squid": _squid,
    "start-stop-daemon": _start_stop,
    "ucf": _ucf,
    "uname": _uname,
    "update-alternatives": update_alternatives,
}
"""All that are known, by name."""
