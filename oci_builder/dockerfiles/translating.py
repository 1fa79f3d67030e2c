"""From a Dockerfile to a recipe: the last stage as it stands, of earlier ones what they bring to it."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_builder.dockerfiles.draft import Copied, Draft, Place, Row, Verdict
from oci_builder.dockerfiles.finishing import finish
from oci_builder.dockerfiles.parsing import Dockerfile, Instruction, Stage, arguments, parse
from oci_builder.dockerfiles.running import run
from oci_builder.errors import NotFound

_PYTHON = re.compile(r"(?:docker\.io/)?(?:library/)?python(?::([^@]*))?(?:@.*)?")
_OURS = {"3.11": ("python-3.11", "Debian 12"), "3.13": ("python-3.13", "Debian 13")}
_RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13", "bullseye": "Debian 11", "buster": "Debian 10"}
_RUNNERS = (("uv", "run"), ("poetry", "run"), ("pipenv", "run"), ("pdm", "run"))
_TOOL_ENV = re.compile(r"(PIP|UV|POETRY|PDM|PIPENV|VIRTUALENV)_\w+|VIRTUAL_ENV|DEBIAN_FRONTEND")
_SITE = re.compile(r"/(site|dist)-packages(/|$)|/\.local(/|$)|/wheels?(/|$)|^/usr/local/(bin|lib)(/|$)")


@dataclass(frozen=True, kw_only=True)
class Translation:
    """What a Dockerfile became: the ``recipe`` as a document, ``files`` to write beside it, ``rows`` of the report.

    ``comments`` stand above keys of the recipe, by their path.
    """

    recipe: dict[str, Any]
    rows: tuple[Row, ...]
    files: dict[str, str] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every line is in the recipe, not needed, or a step for whoever builds."""
        return all(row.verdict is not Verdict.CANNOT for row in self.rows)


def translate(
    text: str, *, what: str, target: str = "", context: Path | None = None, ignored: Sequence[str] = ()
) -> Translation:
    """The recipe of the Dockerfile ``text``, which errors call ``what``.

    ``target`` names the stage that is wanted, by default the last. ``context`` is the folder whose files are looked at:
    nothing in it is run or written. ``ignored`` are the lines of its .dockerignore. Raises InvalidValue, NotFound.
    """
    dockerfile = parse(text, what=what)
    last = dockerfile.stage(target) if target else dockerfile.stages[-1]
    if last is None:
        names = [stage.name or str(number) for number, stage in enumerate(dockerfile.stages)]
        raise NotFound("stage", target, searched=names)
    lines = [line.strip() for line in ignored]
    draft = Draft(context=context, ignored=[line for line in lines if line and not line.startswith("#")])
    reader = _Reader(dockerfile, draft)
    place = reader.read(last, is_final=True)
    document, comments = finish(draft, place)
    rows = sorted(dict.fromkeys(draft.rows), key=lambda row: row.line)
    return Translation(
        recipe=document, rows=tuple(rows), files=draft.files, comments=comments, remarks=tuple(draft.remarks)
    )


class _Reader:
    """Reads stages, each once in the way that it is needed."""

    def __init__(self, dockerfile: Dockerfile, draft: Draft) -> None:
        self._file, self._draft = dockerfile, draft
        self._helpers: dict[str, Place] = {}

    def read(self, stage: Stage, *, is_final: bool) -> Place:
        """What a stage comes to, with those that it is made from."""
        chain = [stage]
        while (below := self._below(chain[-1])) is not None:
            chain.append(below)
        place = Place(draft=self._draft, escape=self._file.escape, is_final=is_final)
        if is_final:
            _base(chain[-1], place)
        for each in reversed(chain):
            place.args = {}
            for instruction in each.instructions:
                self._instruction(instruction, place)
        return place

    def _below(self, stage: Stage) -> Stage | None:
        found = self._file.stage(stage.image) if not stage.image.isdigit() else None
        return found if found is not None and found.line < stage.line else None

    def _instruction(self, each: Instruction, place: Place) -> None:
        if each.name in ("COPY", "ADD"):
            self._copy(each, place)
        elif (act := _ACTS.get(each.name)) is not None:
            act(each, place)
        elif each.name == "ARG":
            self._arg(each, place)
        elif place.is_final:
            place.draft.say(each.line, Verdict.CANNOT, f"{each.name}: unknown here")

    def _arg(self, each: Instruction, place: Place) -> None:
        known = {**place.args, **place.env}
        for word in each.words:
            if "=" not in word and word in self._file.args:
                place.args[word] = self._file.args[word]
        found = arguments(each, known, place.escape)
        place.args.update({name: value for name, value in found.items() if name not in place.env})
        if place.is_final:
            for word in each.words:
                name = word.partition("=")[0]
                value = place.args.get(name)
                said = f"its default, {value!r}" if value is not None else "empty, for it has no default"
                place.draft.say(each.line, Verdict.DONE, f"ARG {name}: {said}; --label and --env set things at build")

    def _copy(self, each: Instruction, place: Place) -> None:
        source = each.flags.get("from", "")
        if source:
            self._from_stage(each, place.expand(source), place)
            return
        for doc in each.heredocs:
            name = posixpath.basename(place.path(place.expand(each.words[-1]))) or doc.name
            self._draft.files[name] = place.expand(doc.content) if doc.expand else doc.content
            _add(each, [name], place, is_folder=False)
        if not each.heredocs:
            words = [place.expand(word) for word in each.words]
            _add_all(each, words, place)

    def _from_stage(self, each: Instruction, name: str, place: Place) -> None:
        """Copies out of another stage or image."""
        say, paths = self._draft.say, [place.expand(word) for word in each.words]
        stage = self._file.stage(name)
        begun = [known for known in self._file.stages if known.line < each.line]
        if stage not in begun[:-1]:
            stage = None  # Docker knows none but those before, either
        if stage is None:
            if re.search(r"(^|/)(uv|poetry)(:|@|$)", name):
                say(each.line, Verdict.NOT_NEEDED, f"{name}: an installer of Python packages; none is in the image")
            else:
                hint = "get the files out of it before the build, and write a [[copy]] of them"
                say(each.line, Verdict.CANNOT, f"files of the image {name}: {hint}")
            return
        if name not in self._helpers:
            self._helpers[name] = self.read(stage, is_final=False)
        helper = self._helpers[name]
        place.environments += helper.environments
        for path in paths[:-1]:
            self._one_of_stage(each, helper, helper.path(path), paths[-1], place)

    def _one_of_stage(self, each: Instruction, helper: Place, path: str, dest: str, place: Place) -> None:
        say, source, stage = self._draft.say, helper.source(path), each.flags["from"]
        if any(path == folder or path.startswith(f"{folder}/") for folder in helper.environments) or _SITE.search(path):
            say(each.line, Verdict.NOT_NEEDED, f"{path}: installed packages, which come as wheels")
        elif source is not None:
            _add(each, [source, dest], place, is_folder=None)
            copied = place.copies[-1]
            made = self._draft.context is None or not (self._draft.context / source).exists()
            if made:
                copied.note = f"made by the stage {stage}: build it before"
                say(
                    each.line,
                    Verdict.BY_HAND,
                    f"{source}: make it before the build, as the stage {each.flags['from']} does",
                )
        else:
            say(
                each.line,
                Verdict.BY_HAND,
                f"{path} of the stage {each.flags['from']}: make it before the build, and copy it",
            )


def _base(stage: Stage, place: Place) -> None:
    image, draft = stage.image, place.draft
    found = _PYTHON.fullmatch(image)
    tag = (found[1] or "latest") if found else ""
    version = re.match(r"3\.\d+", tag)
    ours = _OURS.get(version[0]) if version and "alpine" not in tag and "windows" not in tag else None
    if ours is None:
        draft.base = image
        draft.say(stage.line, Verdict.DONE, f"base: {image}, from its registry")
        return
    draft.base, release = ours
    said = f"base: {draft.base}"
    named = next((_RELEASES[name] for name in _RELEASES if name in tag), None)
    if named is not None and named != release:
        said += f" ({release}; the Dockerfile says {named})"
    draft.say(stage.line, Verdict.DONE, said)
    if "slim" not in tag:
        text = f"{image} has compilers and some 400 packages of Debian that {draft.base} has not: name what is needed"
        draft.remarks.append(f"{text} in base-packages")
    # Where a shell is asked for that the base has not, _shell goes back to the image.
    draft.config["image"] = image


def _env(each: Instruction, place: Place) -> None:
    known = dict(place.env)
    words = list(each.words)
    for name, value in zip(words[0::3], words[1::3], strict=False):
        place.env[name] = Place.expand(Place(draft=place.draft, escape=place.escape, env=known, args=place.args), value)
        if _TOOL_ENV.fullmatch(name) and place.is_final:
            place.draft.say(each.line, Verdict.NOT_NEEDED, f"{name}: for an installer; none is in the image")
        elif place.is_final:
            place.draft.say(each.line, Verdict.DONE, f"env {name}")


def _label(each: Instruction, place: Place) -> None:
    if not place.is_final:
        return
    labels = place.draft.config.setdefault("labels", {})
    assert isinstance(labels, dict)
    for name, value in zip(each.words[0::3], each.words[1::3], strict=False):
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
        place.draft.config["user"] = place.user
        place.draft.say(each.line, Verdict.DONE, f"[user] {place.user}")


def _expose(each: Instruction, place: Place) -> None:
    ports = place.draft.config.setdefault("exposed-ports", [])
    assert isinstance(ports, list)
    for word in map(place.expand, each.words) if place.is_final else ():
        numbers, _, protocol = word.partition("/")
        first, _, last = numbers.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or len(first + last) > 10:
            place.draft.say(each.line, Verdict.BY_HAND, f"exposed-ports: {word!r} is no number")
            continue
        for number in range(int(first), min(int(last or first), int(first) + 100) + 1):
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
    for tool, verb in _RUNNERS:
        words = _without_runner(words, tool, verb)
    place.draft.config[key] = words
    place.draft.say(each.line, Verdict.DONE, f"{key}: {words}")
    if key == "entrypoint":
        place.draft.config.pop("cmd", None)


def _without_runner(words: list[str], tool: str, verb: str) -> list[str]:
    if words[:2] == [tool, verb]:
        rest = words[2:]
        while rest and rest[0].startswith("-"):
            rest = rest[1:]
        return rest
    if len(words) == 3 and words[:2] == ["/bin/sh", "-c"]:
        return [*words[:2], re.sub(rf"(^|&& *|exec +){tool} +{verb} +", r"\1", words[2])]
    return words


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
    if each.flags.get("retries", "").isdigit():
        check["retries"] = int(each.flags["retries"])
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
    run(re.sub(r"^(--\S+\s+)+", "", text), each.line, place)


def _add_all(each: Instruction, words: Sequence[str], place: Place) -> None:
    sources, dest = list(words[:-1]), words[-1] if words else "."
    for source in sources:
        if source.startswith(("http://", "https://", "git@")):
            table = f'[[fetch]] url = "{source}", sha256 = "…", dest = "{place.path(dest)}"'
            place.draft.say(each.line, Verdict.BY_HAND, f"{table}: with what sha256sum says of the file")
            continue
        if each.name == "ADD" and source.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")):
            place.draft.say(each.line, Verdict.BY_HAND, f"{source}: unpack it before the build, and copy the folder")
            continue
        for one in _matching(source, place):
            _add(each, [one, dest], place, is_folder=None, several=len(sources) > 1 or one != source)


def _matching(source: str, place: Place) -> list[str]:
    """The files that a pattern of Docker means, where they are there; the word itself for a plain name."""
    context = place.draft.context
    if not re.search(r"[*?\[]", source) or context is None:
        return [source]
    found = sorted(path.relative_to(context).as_posix() for path in context.glob(source.lstrip("/")))
    return found or [source]


def _add(
    each: Instruction, words: Sequence[str], place: Place, *, is_folder: bool | None, several: bool = False
) -> None:
    source = posixpath.normpath(words[0].lstrip("/") or ".")
    dest = words[1] if len(words) > 1 else place.expand(each.words[-1])
    folder = place.draft.is_folder(words[0]) if is_folder is None else is_folder
    path = place.path(dest)
    into = dest.endswith("/") or dest in (".", "./", "..") or several or path == place.workdir
    if not folder and into:
        path = f"{path.rstrip('/')}/"
    mode = each.flags.get("chmod", "")
    copied = Copied(
        src=source,
        dest=path,
        line=each.line,
        is_folder=folder,
        owner=place.expand(each.flags.get("chown", "")),
        mode=f"0{mode.lstrip('0')}" if re.fullmatch(r"0*[0-7]{3,4}", mode) else "",
    )
    place.copies.append(copied)
    if place.is_final:
        place.draft.copies.append(copied)
        place.draft.say(each.line, Verdict.DONE, f"[[copy]] {source} to {path}")


_ACTS: dict[str, Callable[[Instruction, Place], None]] = {
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
