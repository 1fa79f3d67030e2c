"""What is meant by values of other programs, and by slips of the hand: candidates, of which the first that fits counts.

Each takes whatever stands there, of any type, and gives what may have been meant, the likeliest first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_USUAL_MODES = frozenset({0o400, 0o444, 0o500, 0o555, 0o600, 0o640, 0o644, 0o660, 0o664, 0o700, 0o750, 0o755, 0o775})
_UNITS = {"h": "h", "m": "m", "s": "s", "ms": "ms", "hour": "h", "min": "m", "minute": "m", "sec": "s", "second": "s"}
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 9: "SIGKILL", 10: "SIGUSR1", 12: "SIGUSR2", 15: "SIGTERM"}


def duration(value: object) -> Iterator[object]:
    """A number is of seconds, as in compose files; units may be written out."""
    if isinstance(value, float) and 0 < value < 10**6:
        yield f"{round(value * 1000)}ms"
    text = str(value).strip().lower() if _is_scalar(value) else ""
    if text.isascii() and text.isdigit():
        yield f"{text}s"
    parts = re.findall(r"([0-9]+)\s*([a-z]+)", text)
    units = [_UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"), "") for _, unit in parts]
    if parts and all(units):
        yield "".join(f"{number}{unit}" for (number, _), unit in zip(parts, units, strict=True))


def size(value: object) -> Iterator[object]:
    """A small number is of megabytes, a large one of bytes."""
    text = str(value).strip().replace("_", "") if _is_scalar(value) else ""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        yield f"{text}B" if len(text) > 6 and text.isdigit() else f"{text}MB"
    yield text.replace(" ", "")


def mode(value: object) -> Iterator[object]:
    """644 is 0644, and 0o644 is read as 420; which of both it is, the usual ones tell."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value in _USUAL_MODES:
            yield f"{value:04o}"
        yield f"0{value}"
        yield f"{value:04o}" if value >= 0 else ""
    elif isinstance(value, str):
        yield "0" + value.strip().lower().removeprefix("0o").lstrip("0")


def port(value: object) -> Iterator[object]:
    """Of docker's HOST:CONTAINER the container's."""
    last = str(value).strip().rpartition(":")[2] if isinstance(value, str | int) else ""
    if last.isascii() and last.isdigit():
        yield int(last[:18])
    yield last.lower()


def absolute(value: object) -> Iterator[object]:
    """A path that is not absolute begins at the root."""
    if isinstance(value, str) and value.strip() and not re.match(r"~|[A-Za-z]:|\$", value.strip()):
        yield "/" + value.strip().replace("\\", "/").removeprefix("./").removeprefix("/")


def name(value: object) -> Iterator[object]:
    """The nearest name: small letters, and a dash for whatever else is there."""
    yield re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-") if isinstance(value, str) else ""


def version(value: object) -> Iterator[object]:
    """The nearest version."""
    yield re.sub(r"[^A-Za-z0-9._+-]+", "-", value.strip()).strip("-") if isinstance(value, str) else ""


def account(value: object) -> Iterator[object]:
    """The nearest name of a user."""
    yield re.sub(r"[^a-z0-9_-]+", "-", value.strip().lower()).strip("-")[:32] if isinstance(value, str) else ""


def signal(value: object) -> Iterator[object]:
    """Signals by number, and without their SIG."""
    if isinstance(value, int) and value in _SIGNALS:
        yield _SIGNALS[value]
    if isinstance(value, str):
        yield value.strip().upper()
        yield f"SIG{value.strip().upper()}"


def owner(value: object) -> Iterator[object]:
    """One number is that of the group as well; root is 0, and there are no other names."""
    text = str(value).strip().lower() if _is_scalar(value) else ""
    parts = text.split(":")
    if all(part == "root" for part in parts):
        yield "0:0"
    yield f"{text}:{text}"
    yield ":".join("0" if part == "root" else part for part in parts)
    if "user" in parts:
        yield "user"


def debian_package(value: object) -> Iterator[object]:
    """A name without its version, in small letters."""
    yield re.split(r"[=<>(\s:]", value.strip().lower(), maxsplit=1)[0] if isinstance(value, str) else ""


def locale(value: object) -> Iterator[object]:
    """Languages as browsers call them, and as LANG has them in quotes."""
    text = value.strip().strip("\"'").replace("-", "_", 1) if isinstance(value, str) else ""
    found = re.fullmatch(r"([A-Za-z]{2,3})[_ ]([A-Za-z]{2})[. ]?[Uu][Tt][Ff]_?-?8", text)
    if found or re.fullmatch(r"[A-Za-z]{2,3}_[A-Za-z]{2}", text):
        language, country = (found[1], found[2]) if found else text.split("_")
        yield f"{language.lower()}_{country.upper()}.UTF-8"
    yield text


def sha256(value: object) -> Iterator[object]:
    """Digests as OCI and others write them."""
    yield value.strip().lower().removeprefix("sha256:").removeprefix("sha256=") if isinstance(value, str) else ""


def address(value: object) -> Iterator[object]:
    """An address without its scheme."""
    if isinstance(value, str) and "." in value.partition("/")[0] and "://" not in value:
        yield f"https://{value.strip()}"


def user(value: object) -> Iterator[object]:
    """``user = "app"`` and ``user = "app:1000"``, as Dockerfiles have it."""
    first, *more = str(value).strip().split(":") if _is_scalar(value) else [""]
    if not first or len(more) > 2 or not all(part.isascii() and part.isdigit() for part in more):
        return
    numbers = [int(part[:18]) for part in more]
    if first.isascii() and first.isdigit():
        yield dict(zip(("uid", "gid"), [int(first[:18]), *numbers], strict=False))
    else:
        yield {"name": first.lower(), **dict(zip(("uid", "gid"), numbers, strict=False))}


def python(value: object) -> Iterator[object]:
    """Requirements, or a file of them, in place of the table."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list) and all(isinstance(each, str) and each.endswith((".txt", ".toml")) for each in names):
        yield {"requirements": names}


def python_instead(value: object) -> str | None:
    """A version of Python is the base's."""
    found = re.search(r"3\.[0-9]+", str(value)) if _is_scalar(value) else None
    if found and len(str(value)) < 20:
        return f'the Python comes with the base: write base = "python-{found[0]}" in place of it'
    names = isinstance(value, str | list) and next(python(value), None) is None
    return "write what is to be installed into requirements.txt beside image.toml, a package a line" if names else None


def base(value: object) -> Iterator[object]:
    """A version of Python alone."""
    found = re.fullmatch(r"3\.[0-9]{1,2}", str(value)) if isinstance(value, float) else None
    if found:
        yield f"python-{found[0]}"


def healthcheck(value: object) -> Iterator[object]:
    """A test alone."""
    if isinstance(value, list):
        yield {"test": value}


def layering(value: object) -> Iterator[object]:
    """The strategy alone, or the budget."""
    if isinstance(value, str):
        yield {"strategy": value}
    elif isinstance(value, int):
        yield {"budget": value}


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
