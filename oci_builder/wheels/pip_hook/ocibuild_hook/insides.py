"""pip's inside, replaced piece by piece; a pip whose inside has changed is an error, not a wrong answer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

CHANGED = 97
"""The exit code that says: this pip is not the one the hook was written for."""


def changed(what: str) -> NoReturn:
    """End, for this pip is another than the hook was written for."""
    sys.stderr.write(f"pip's inside has changed: {what}\n")
    sys.exit(CHANGED)


def attribute(place: Any, name: str) -> Any:
    """What ``place`` has under ``name``; a pip without it is the end."""
    if not hasattr(place, name):
        changed(f"{place!r} has no {name}")
    return getattr(place, name)


def replace(place: Any, name: str, value: object) -> None:
    """Put ``value`` where ``place`` has something under ``name`` already."""
    attribute(place, name)
    setattr(place, name, value)


def replace_everywhere(where: str, value: Callable[..., Any]) -> None:
    """Put ``value`` in the place of "module:name", and of what other modules have imported from there."""
    module_name, _, name = where.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        changed(f"there is no {module_name}")
    owner, _, last = name.rpartition(".")
    if owner:
        replace(attribute(module, owner), last, value)
        return
    original = attribute(module, name)
    # "from x import y" gave others a name of their own for it, which what is put into x does not reach.
    for other in [each for each_name, each in sys.modules.items() if each_name.startswith("pip.")]:
        for key in [key for key, held in vars(other).items() if held is original]:
            setattr(other, key, value)
