"""Figures to HTML: one file with its own style and script, which a browser may not let load anything else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from oci_builder.inspect.diff import difference
from oci_builder.inspect.packages import Inventory
from oci_builder.oci.jsonio import JSON
from oci_builder.report.figures import differences, figures, file_name
from oci_builder.report.remarks import Remark


def render(found: Inventory, *, remarks: Sequence[Remark] = (), before: Inventory | None = None) -> bytes:
    """The page of an image; with ``before`` also of what changed since that one. The same images give the same bytes.

    Whatever text came with an image is shown as text: it is never taken for markup or script.
    """
    document: JSON = {
        **figures(found),
        "name": file_name(found.contents.name),
        "remarks": [{"check": each.check, "severity": each.severity, "text": each.text} for each in remarks],
        "diff": differences(difference(before, found)) if before is not None else None,
    }
    style, script = _asset("page.css"), _asset("page.js")
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    parts = {
        "@@POLICY@@": escape(policy),
        "@@TITLE@@": escape(_readable(file_name(found.contents.name))),
        "@@STYLE@@": style,
        "@@SCRIPT@@": script,
        "@@DATA@@": _embedded(document),
    }
    return _filled(_asset("page.html"), parts).encode()


def _filled(template: str, parts: dict[str, str]) -> str:
    # One pass over the template, so that a mark within a value stays what it is.
    out = ""
    while template:
        at = template.find("@@")
        mark = next((mark for mark in parts if template.startswith(mark, at)), "")
        if at < 0 or not mark:
            return out + template
        out, template = out + template[:at] + parts[mark], template[at + len(mark) :]
    return out


def _embedded(document: JSON) -> str:
    """JSON that can stand in a script element: ASCII, and nothing in it ends the element or begins a comment."""
    text = json.dumps(_plain(document), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: object) -> object:
    """``value`` without letters that would turn those after them round, or that nobody sees."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _readable(value) if isinstance(value, str) else value


def _readable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("oci_builder.report") / name).read_text(encoding="utf-8")
