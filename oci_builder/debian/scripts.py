"""Maintainer scripts of packages that are added: none is run, and those that would do nothing are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from oci_builder.debian.deb import DebFile
from oci_builder.debian.lock import Pin
from oci_builder.debian.thinning import globs

_IDLE: Mapping[str, Sequence[str]] = {
    # Compiles the settings and lists the modules that other packages bring: nothing where there are none.
    "libglib2.0-0": ("usr/share/glib-2.0/schemas/*.xml", "usr/lib/*/gio/modules/*.so"),
    # Menus of desktops.
    "graphviz": ("usr/bin/update-menus",),
    # These clean up after older versions of themselves.
    **dict.fromkeys(("git", "libgcrypt20", "libgssapi-krb5-2", "libpulse0"), ()),
    # Compiles modules to bytecode.
    "python3-tk": (),
}
"""Packages whose scripts do nothing as long as no path fits their globs."""


def obstacles(packages: Mapping[Pin, DebFile], paths: Iterable[str]) -> dict[Pin, str]:
    """Why the script of a package would have to run, where ``paths`` are all that are in the image."""
    found: dict[Pin, str] = {}
    for pin, package in packages.items():
        if not package.scripts:
            continue
        if pin.name not in _IDLE:
            found[pin] = f"its {package.scripts[-1]} script would have to run, and ocibuild runs none"
            continue
        busy = globs(_IDLE[pin.name])
        path = next(filter(busy.match, paths), None) if _IDLE[pin.name] else None
        if path is not None:
            found[pin] = f"its maintainer script would do something about /{path}, and ocibuild runs none"
    return found
