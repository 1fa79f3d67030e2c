"""Programs that whoever installs packages has, though the image need not."""

from __future__ import annotations

import re

_TOOLS = frozenset(
    (
        *("addgroup", "adduser", "awk", "base64", "bash", "cat", "chgrp", "chmod", "chown", "cmp", "cp", "cut", "date"),
        *("deb-systemd-helper", "deb-systemd-invoke", "deluser", "diff", "dpkg", "dpkg-divert", "dpkg-trigger", "expr"),
        *("dpkg-maintscript-helper", "dpkg-query", "dpkg-statoverride", "find", "getent", "grep", "egrep", "fgrep"),
        *("groupadd", "groupmod", "gzip", "head", "id", "install", "invoke-rc.d", "ldconfig", "ln", "ls", "md5sum"),
        *("mkdir", "mktemp", "mv", "perl", "readlink", "realpath", "rm", "rmdir", "run-parts", "runuser", "sed"),
        *("service", "sh", "sort", "start-stop-daemon", "stat", "su", "tail", "tar", "tempfile", "touch", "tr", "ucf"),
        *("ucfr", "uniq", "update-alternatives", "update-rc.d", "useradd", "usermod", "wc", "which", "xargs"),
        *("update-dictcommon-hunspell", "update-dictcommon-aspell", "gunzip", "zcat", "chpasswd", "pam-auth-update"),
        *("pam_getenv", "update-passwd", "add-shell", "remove-shell"),
    )
)
"""Programs that whoever installs packages has, though the image need not: essential ones, and those that are cut."""

_PROGRAM = re.compile(r"(?:/usr)?/s?bin/([^/]+)\Z")


def is_tool(path: str) -> bool:
    """Whether a script finds something at ``path`` that belongs to who installs packages, not to the image."""
    program = _PROGRAM.match(path)
    return path == "/usr/share/debconf/confmodule" or (program is not None and program[1] in _TOOLS)
