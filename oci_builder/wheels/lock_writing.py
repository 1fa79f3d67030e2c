"""pylock.toml (PEP 751) as bytes: the same pins, in whichever order they were found, give the same file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target


def encode(pins_by_target: Mapping[Target, Sequence[WheelPin]], *, fingerprint: str, base: str = "") -> bytes:
    """The lock that ``parse`` turns back into these pins: the same pins, in whichever order, give the same bytes.

    ``base`` is whatever tells one state of the base from another.
    """
    targets = sorted(pins_by_target, key=str)
    head = {
        "lock-version": "1.0",
        "environments": sorted({marker_of(target, targets) for target in targets}),
        "requires-python": _requires_python(targets),
        "created-by": "ocibuild",
    }
    tool = {"fingerprint": fingerprint, "targets": [str(target) for target in targets]} | (
        {"base": base} if base else {}
    )
    tables = [_pairs(head), *_packages(pins_by_target, targets), f"[tool.ocibuild]\n{_pairs(tool)}"]
    return "\n".join(tables).encode()


def _packages(pins_by_target: Mapping[Target, Sequence[WheelPin]], targets: Sequence[Target]) -> Iterable[str]:
    """A table for each project and version, with all its wheels; a marker where not every target has it."""
    groups: dict[tuple[Any, ...], dict[Target, WheelPin]] = {}
    for target in targets:
        for pin in pins_by_target[target]:
            source = pin.built_from
            alike = (pin.name, pin.version, pin.requested, pin.direct_url or "", source.filename if source else "")
            groups.setdefault(alike, {})[target] = pin
    for alike in sorted(groups):
        yield _package(groups[alike], targets)


def _package(pins: Mapping[Target, WheelPin], targets: Sequence[Target]) -> str:
    pin = next(iter(pins.values()))
    head: dict[str, Any] = {"name": pin.name, "version": pin.version}
    if len(pins) < len(targets):
        head["marker"] = " or ".join(sorted({marker_of(target, targets) for target in pins}))
    wheels = {wheel.filename: wheel for wheel in pins.values()}
    files = [f"[[packages.wheels]]\n{_pairs(_wheel(wheels[filename]))}" for filename in sorted(wheels)]
    tool = _tool(pin)
    more = [f"[packages.tool.ocibuild]\n{_pairs(tool)}"] if tool else []
    return "\n".join([f"[[packages]]\n{_pairs(head)}", *files, *more])


def _wheel(pin: WheelPin) -> dict[str, Any]:
    size = {} if pin.size is None else {"size": pin.size}
    return {"name": pin.filename, "path": f"wheels/{pin.filename}", **size, "hashes": {"sha256": pin.sha256.hex}}


def _tool(pin: WheelPin) -> dict[str, Any]:
    tool: dict[str, Any] = {"requested": True} if pin.requested else {}
    if pin.direct_url:
        tool["direct-url"] = pin.direct_url
    if pin.built_from:
        tool["built-from"] = {"name": pin.built_from.filename, "sha256": pin.built_from.sha256.hex}
    return tool


def marker_of(target: Target, among: Sequence[Target]) -> str:
    """A marker that tells ``target`` from the other targets of the lock."""
    marker = f"sys_platform == 'linux' and platform_machine == '{target.platform.machine}'"
    if len({other.minor for other in among}) > 1:
        marker += f" and python_version == '{target.minor[0]}.{target.minor[1]}'"
    return marker


def _requires_python(targets: Sequence[Target]) -> str:
    # Not the exact version: pip and uv on a later patch release may use the lock too.
    oldest = min(tuple(map(int, target.promise.version.split(".")[:3])) for target in targets)
    major, minor = max(target.minor for target in targets)
    return f">={'.'.join(map(str, oldest))},<{major}.{minor + 1}"


def _pairs(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            # TOML's basic strings are JSON's, but for surrogate pairs and DEL.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case dict():
            return "{" + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(map(_value, value)) + "]"
