"""What packages depend on and an image does without, unless a recipe names it: each with the reason.

Only what maintainer scripts call, or what serves a machine that boots, or what a base has already. Whether something is
cut is decided by its name alone, so that the same packages are left out of every image.
"""

from __future__ import annotations

from collections.abc import Mapping

_SCRIPTS = "only maintainer scripts use it"
_DAEMONS = "no init system runs in a container"
_PYTHON = "the base has its own Python"
_GRAPHICS = "a driver of graphics cards, which a container has not"

CUTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("debconf", "debconf-2.0", "cdebconf", "dpkg", "ucf", "adduser", "passwd", "debianutils"), _SCRIPTS
    ),
    **dict.fromkeys(("init-system-helpers", "lsb-base", "sysvinit-utils", "x11-common", "update-inetd"), _SCRIPTS),
    **dict.fromkeys(("usrmerge", "usr-is-merged", "dictionaries-common", "emacsen-common"), _SCRIPTS),
    **dict.fromkeys(("xml-core", "sgml-base", "ssl-cert", "gconf2-common", "libpaper-utils"), _SCRIPTS),
    **dict.fromkeys(("awk", "mawk", "mailcap"), _SCRIPTS),
    **dict.fromkeys(("install-info", "man-db"), "no info and man pages are in the image"),
    **dict.fromkeys(("systemd", "systemd-sysv", "libpam-systemd", "dbus-user-session"), _DAEMONS),
    **dict.fromkeys(("cron", "logrotate"), _DAEMONS),
    **dict.fromkeys(("python3", "python3-minimal"), _PYTHON),
    **dict.fromkeys(("libgl1-mesa-dri", "va-driver-all", "vdpau-driver-all", "mesa-va-drivers"), _GRAPHICS),
    **dict.fromkeys(
        ("mesa-vdpau-drivers", "mesa-vulkan-drivers", "i965-va-driver", "intel-media-va-driver"), _GRAPHICS
    ),
}


def cuts_over(*, has_dpkg: bool, has_python: bool) -> Mapping[str, str]:
    """What is left out over a base: where dpkg and apt keep their list they find all that packages depend on.

    Of a base without ``/usr/bin/python3`` scripts that ask for that one need Debian's.
    """
    if has_dpkg:
        return {}
    return CUTS if has_python else {name: why for name, why in CUTS.items() if why != _PYTHON}
