"""Instructions of a Dockerfile that set how a container runs, and RUN: each with what it says of a recipe."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable

from oci_builder.dockerfiles.draft import INSTALLERS_OWN, Copied, Place, Verdict, number_of
from oci_builder.dockerfiles.parsing import Instruction
from oci_builder.dockerfiles.running import run
from oci_builder.shellwords import RUNNERS, without_runner

_MOUNT = re.compile(r"(?:^|\s)--mount=(\S+)")
_MOST_PORTS = 100
_LAST_PORT = 65535
_MOST_RETRIES = 1000


def _pairs(each: Instruction) -> list[tuple[str, str]]:
    """The names and values of ENV and LABEL: the parser gives each pair with what stood between, ``=`` or a blank."""
    return list(zip(each.words[0::3], each.words[1::3], strict=False))


def _env(each: Instruction, place: Place) -> None:
    # All of one instruction see what was set before it (Dockerfile reference, ENV).
    values = [(name, place.expand(value)) for name, value in _pairs(each)]
    for name, value in values:
        place.env[name] = value
        if INSTALLERS_OWN.fullmatch(name) and place.is_final:
            place.draft.say(each.line, Verdict.NOT_NEEDED, f"{name}: for an installer; none is in the image")
        elif place.is_final:
            place.draft.say(each.line, Verdict.DONE, f"env {name}")


def _label(each: Instruction, place: Place) -> None:
    if not place.is_final:
        return
    labels = place.draft.config.setdefault("labels", {})
    assert isinstance(labels, dict)
    for name, value in _pairs(each):
        labels[place.expand(name)] = place.expand(value)
    place.draft.say(each.line, Verdict.DONE, "labels")


def _maintainer(each: Instruction, place: Place) -> None:
    labels = place.draft.config.setdefault("labels", {})
    assert isinstance(labels, dict)
    labels.setdefault("maintainer", each.text)
    place.draft.say(each.line, Verdict.DONE, "label maintainer")


def _workdir(each: Instruction, place: Place) -> None:
    place.workdir = place.path(place.expand(each.text))
    if place.is_final:
        place.draft.config["workdir"] = place.workdir
        place.draft.say(each.line, Verdict.DONE, f"workdir: {place.workdir}")


def _user(each: Instruction, place: Place) -> None:
    place.user = place.expand(each.text)
    if place.is_final:
        place.draft.user = place.user
        place.draft.say(each.line, Verdict.DONE, f"[user] {place.user}")


def _expose(each: Instruction, place: Place) -> None:
    ports = place.draft.config.setdefault("exposed-ports", [])
    assert isinstance(ports, list)
    for word in map(place.expand, each.words) if place.is_final else ():
        numbers, _, protocol = word.partition("/")
        begin, dash, end = numbers.partition("-")
        first = number_of(begin, most=_LAST_PORT)
        last = number_of(end, most=_LAST_PORT) if dash else first
        if first is None or last is None or last - first > _MOST_PORTS:
            place.draft.say(each.line, Verdict.BY_HAND, f"exposed-ports: {word!r} is no number, or too many")
            continue
        for number in range(first, last + 1):
            port: object = number if protocol in ("", "tcp") else f"{number}/{protocol}"
            if port not in ports:
                ports.append(port)
        place.draft.say(each.line, Verdict.DONE, f"exposed-ports: {word}")


def _volume(each: Instruction, place: Place) -> None:
    volumes = place.draft.config.setdefault("volumes", [])
    assert isinstance(volumes, list)
    if place.is_final:
        volumes += [place.path(place.expand(word)) for word in each.words]
        place.draft.say(each.line, Verdict.DONE, "volumes")


def _command(each: Instruction, place: Place) -> None:
    if not place.is_final:
        return
    key = each.name.lower()
    words = list(each.words) if each.is_exec else [*place.shell, each.text]
    words = _without_runner(words)
    place.draft.config[key] = words
    place.draft.say(each.line, Verdict.DONE, f"{key}: {words}")
    if key == "entrypoint":
        place.draft.config.pop("cmd", None)


def _without_runner(words: list[str]) -> list[str]:
    if len(words) == 3 and words[:2] == ["/bin/sh", "-c"]:
        return [*words[:2], re.sub(rf"(^|&& *|exec +)(?:{'|'.join(RUNNERS)}) +run +", r"\1", words[2])]
    return without_runner(words)


def _healthcheck(each: Instruction, place: Place) -> None:
    if not place.is_final:
        return
    kind, *rest = each.words or ("NONE",)
    if kind.upper() == "NONE":
        check: dict[str, object] = {"test": ["NONE"]}
    else:
        check = {"test": rest if each.is_exec else ["CMD-SHELL", " ".join(rest)]}
    for flag in ("interval", "timeout", "start-period"):
        if flag in each.flags:
            check[flag] = each.flags[flag]
    if (retries := number_of(each.flags.get("retries", ""), most=_MOST_RETRIES)) is not None:
        check["retries"] = retries
    place.draft.config["healthcheck"] = check
    place.draft.say(each.line, Verdict.DONE, "[config.healthcheck]")


def _shell(each: Instruction, place: Place) -> None:
    place.shell = tuple(each.words)
    place.draft.say(each.line, Verdict.DONE, f"commands in shell form begin with {' '.join(each.words)}")


def _stop(each: Instruction, place: Place) -> None:
    place.draft.config["stop-signal"] = place.expand(each.text)
    place.draft.say(each.line, Verdict.DONE, "stop-signal")


def _onbuild(each: Instruction, place: Place) -> None:
    if place.is_final:
        text = "is for images that are built on this one: write it into their recipes"
        place.draft.say(each.line, Verdict.CANNOT, f"ONBUILD {each.text}: {text}")


def _run(each: Instruction, place: Place) -> None:
    text = "\n".join(doc.content for doc in each.heredocs) if each.heredocs else each.text
    if each.is_exec:
        text = shlex.join(each.words)
    _mounts(each, place)
    run(re.sub(r"^(--\S+\s+)+", "", text), each.line, place)


def _mounts(each: Instruction, place: Place) -> None:
    """Files that are there for one RUN: whoever looks for what was copied finds them, and no image has them."""
    for mount in _MOUNT.findall(each.text):
        said = dict(part.partition("=")[::2] for part in mount.split(","))
        source = said.get("source", said.get("src", ""))
        target = next((said[name] for name in ("target", "dst", "destination") if name in said), "")
        if said.get("type") == "bind" and source and target and "from" not in said:
            word = posixpath.normpath(place.expand(source).lstrip("/"))
            is_folder = place.draft.is_folder(word)
            place.copies.append(
                Copied(src=word, dest=place.path(target), line=each.line, is_folder=is_folder, is_dropped=True)
            )


ACTS: dict[str, Callable[[Instruction, Place], None]] = {
    "ENV": _env,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "WORKDIR": _workdir,
    "USER": _user,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "CMD": _command,
    "ENTRYPOINT": _command,
    "HEALTHCHECK": _healthcheck,
    "SHELL": _shell,
    "STOPSIGNAL": _stop,
    "ONBUILD": _onbuild,
    "RUN": _run,
}
