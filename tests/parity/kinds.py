"""Kinds of differences between an installation by apt-get and a layer of ocibuild's, each with the reason for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.chroots import Face


@dataclass(frozen=True)
class Difference:
    """A path that apt-get and ocibuild leave other things at; None stands for nothing.

    ``package`` has the path by dpkg; ``cut`` says that ocibuild left it out on purpose, ``linked`` that apt-get did not
    bring what has it, ``was_there`` that the chroot had something there before, and ``fewer`` that apt-get adds all the
    lines that ocibuild adds, but for numbers, and more.
    """

    path: str
    theirs: Face | None
    ours: Face | None
    package: str
    cut: bool
    linked: bool
    was_there: bool
    fewer: bool

    def __str__(self) -> str:
        if self.ours is None:
            return f"/{self.path} is only apt-get's ({self.package or 'made by a script'})"
        if self.theirs is None:
            return f"/{self.path} is only ocibuild's"
        fields = [name for name in Face.__annotations__ if getattr(self.ours, name) != getattr(self.theirs, name)]
        told = ", ".join(
            f"{name} {_told(getattr(self.theirs, name))} by apt-get and {_told(getattr(self.ours, name))} by ocibuild"
            for name in fields
        )
        return f"/{self.path}: {told}"


def _told(value: object) -> str:
    return f"{value:o}" if isinstance(value, int) else str(value)[:60]


@dataclass(frozen=True)
class Kind:
    """A kind of differences, and the reason that there are such."""

    name: str
    reason: str
    fits: Callable[[Difference], bool]


_READ = r"usr/share/(man|info|doc|doc-base|gtk-doc|help|gnome/help|locale|locale-langpack)(/|\Z)"


def _missing(pattern: str) -> Callable[[Difference], bool]:
    known = re.compile(pattern)
    return lambda one: one.ours is None and known.match(one.path) is not None


def _any(pattern: str) -> Callable[[Difference], bool]:
    known = re.compile(pattern)
    return lambda one: known.match(one.path) is not None


def _is_documentation(one: Difference) -> bool:
    target = one.theirs.target if one.theirs is not None else ""
    return one.ours is None and (
        re.match(_READ, one.path) is not None
        or re.match(rf"/{_READ}|/etc/alternatives/.*\.[0-9]\w*\.gz\Z", target) is not None
    )


_MADE_BY_CUT = (
    r"etc/(mtab|pam\.d(/.*)?)\Z|root/\.ssh\Z|var/(cache|lib|log)/private\Z|var/log/(README|journal)\Z|var/lib/(pam|systemd)(/|\Z)"
    r"|etc/(dbus-1|machine-info)(/|\Z)|usr/share/binfmts(/|\Z)|var/lib/binfmts(/|\Z)"
)

LISTS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/shells")
"""Files that packages add lines to; what was there before is the base's, and need not be alike."""

KINDS = (
    Kind(
        "documentation",
        "man pages, documentation and translations are dropped, and links to them",
        _is_documentation,
    ),
    Kind(
        "cut",
        "the package is in the list of what images do without, or only those need it; the lock names it",
        lambda one: one.ours is None and one.cut,
    ),
    Kind("cut's files", "what scripts of systemd, dbus and PAM make, which are cut", _missing(_MADE_BY_CUT)),
    Kind(
        "database",
        "dpkg's and apt's own files: no package manager is in the image; scanners read var/lib/dpkg/status.d",
        _any(
            r"var/lib/dpkg(?!/alternatives/)|(var/lib|var/cache|etc|var/log)/(apt|debconf)(/|\Z)"
            r"|var/log/(dpkg|alternatives)\.log|var/lib/(ucf|shells\.state|emacsen-common|dictionaries-common|sgml-base|xml-core)(/|\Z)"
        ),
    ),
    Kind(
        "linked",
        "a file needs the library, and its package does not depend on it: the library comes along all the same",
        lambda one: one.theirs is None and one.linked,
    ),
    Kind(
        "choices",
        "the group of alternatives has choices of essential packages, which only the chroot has",
        lambda one: one.path.startswith("var/lib/dpkg/alternatives/") and one.was_there,
    ),
    Kind(
        "bytecode",
        "Debian's modules are compiled when they are first imported",
        _missing(r".*/__pycache__(/|\Z)|.*\.pyc\Z"),
    ),
    Kind("services", "no init system runs in a container", _missing(r"etc/systemd/|etc/rc[0-9S]\.d/|var/lib/systemd/")),
    Kind(
        "caches",
        "programs make them when they lack them, or are slower without",
        _missing(
            r"var/cache/(fontconfig|man|ldconfig)(/|\Z)|usr/share/icons/.*/icon-theme\.cache\Z|usr/share/mime/"
            r"|usr/lib/.*/giomodule\.cache\Z|usr/share/applications/mimeinfo\.cache\Z|etc/mailcap\Z"
        ),
    ),
    Kind(
        "loader",
        "the loader's cache has the libraries of the whole tree, and the trees differ",
        lambda one: one.path == "etc/ld.so.cache",
    ),
    Kind(
        "mounted",
        "/run is mounted over in the chroot, and begins empty",
        lambda one: one.theirs is None and one.path.startswith("run/"),
    ),
    Kind("logs", "logs say when something was done", _any(r"var/log/[^/]+\.log\Z")),
    Kind(
        "secrets",
        "keys and numbers of one machine are never made",
        _missing(r"etc/machine-id\Z|var/lib/dbus/|etc/ssh/ssh_host_|etc/ssl/(private|certs/ssl-cert)"),
    ),
    Kind(
        "copies", "tools keep the account files of before", _missing(r"etc/(passwd|group|shadow|gshadow|sub[ug]id)-\Z")
    ),
    Kind("shells", "only who changes a user's shell reads the list of them", lambda one: one.path == "etc/shells"),
    Kind(
        "accounts",
        "packages that are cut have accounts, too; the image has the others' as they are",
        lambda one: one.path in LISTS and one.fewer,
    ),
)
"""All kinds, the first that fits being that of a difference."""

SECRET = ("etc/shadow", "etc/gshadow")
"""Those that only a base with passwords has."""
