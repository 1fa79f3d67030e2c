"""From a Dockerfile to a recipe: the last stage as it stands, of earlier ones what they bring to it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_builder.dockerfiles.copies import add, copy, copy_from_image
from oci_builder.dockerfiles.draft import Draft, Place, Row, Verdict
from oci_builder.dockerfiles.finishing import finish
from oci_builder.dockerfiles.instructions import ACTS
from oci_builder.dockerfiles.parsing import Dockerfile, Instruction, Stage, arguments, parse
from oci_builder.errors import NotFound

_PYTHON = re.compile(r"(?:docker\.io/)?(?:library/)?python(?::([^@]*))?(?:@.*)?")
_OURS = {"3.11": ("python-3.11", "Debian 12"), "3.13": ("python-3.13", "Debian 13")}
_RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13", "bullseye": "Debian 11", "buster": "Debian 10"}
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
        place = Place(draft=self._draft, expanding=self._file.expanding, is_final=is_final)
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
        elif (act := ACTS.get(each.name)) is not None:
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
        found = arguments(each, known, place.expanding)
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
        copy(each, place)

    def _from_stage(self, each: Instruction, name: str, place: Place) -> None:
        """Copies out of another stage or image."""
        say, paths = self._draft.say, [place.expand(word) for word in each.words]
        stage = self._file.stage(name)
        # Docker knows none but those before, either; the last that has begun is the one that this stands in.
        begun = [known for known in self._file.stages if known.line < each.line]
        if stage is None or stage not in begun[:-1]:
            if re.search(r"(^|/)(uv|poetry)(:|@|$)", name):
                say(each.line, Verdict.NOT_NEEDED, f"{name}: an installer of Python packages; none is in the image")
            elif stage is not None or name.isdigit():
                say(each.line, Verdict.CANNOT, f"files of {name}, which is no stage before this one")
            else:
                copy_from_image(each, name, place)
            return
        if name not in self._helpers:
            self._helpers[name] = self.read(stage, is_final=False)
        helper = self._helpers[name]
        place.environments += helper.environments
        for path in paths[:-1]:
            self._one_of_stage(each, helper, helper.path(path), paths[-1], place)

    def _one_of_stage(self, each: Instruction, helper: Place, path: str, dest: str, place: Place) -> None:
        say, source, stage = self._draft.say, helper.source(path), each.flags["from"]
        if path in helper.exported:
            place.exported[
                place.path(posixpath.join(dest, posixpath.basename(path)) if dest.endswith(("/", ".")) else dest)
            ] = helper.exported[path]
            say(each.line, Verdict.NOT_NEEDED, f"{path}: it has what {helper.exported[path]} says")
        elif any(path == folder or path.startswith(f"{folder}/") for folder in helper.environments) or _SITE.search(
            path
        ):
            say(each.line, Verdict.NOT_NEEDED, f"{path}: installed packages, which come as wheels")
        elif source is not None:
            copied = add(each, source, dest, place)
            copied.exclude += helper.removed(path)
            if self._draft.context is None or not (self._draft.context / source).exists():
                copied.note = f"made by the stage {stage}: build it before"
                say(each.line, Verdict.BY_HAND, f"{source}: make it before the build, as the stage {stage} does")
        else:
            text = f"{path} of the stage {stage}: make it before the build, and copy it"
            say(each.line, Verdict.BY_HAND, text)


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
