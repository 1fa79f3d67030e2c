"""A Dockerfile as stages of instructions; the only importer of e2b-dockerfile-utils, BuildKit's parser in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from e2b_dockerfile_utils import DockerfileHeredoc, DockerfileInstruction, ShellLex, parse_dockerfile_ast

from oci_builder.errors import InvalidValue

MOST = 1 << 20
"""Letters of a Dockerfile: nobody writes a longer one."""

MOST_INSTRUCTIONS, MOST_WORDS, MOST_HEREDOCS = 5_000, 10_000, 500
"""Of one Dockerfile, and their words in all."""

LONGEST, MOST_EXPANDED = 32 << 10, 4 << 20
"""Letters of one word with its variables in place, and of all of them: each can say twice what the one before says."""

_SHOWN = 100
_LONE = re.compile("[\ud800-\udfff]")


@dataclass(kw_only=True)
class Expanding:
    """Puts variables into the words of one Dockerfile, whose ``escape`` it is; ``left`` letters of them."""

    escape: str = "\\"
    left: int = MOST_EXPANDED

    def expand(self, word: str, env: Mapping[str, str]) -> str:
        """``word`` with its variables in place, and without quotes; what nobody sets is empty. Raises InvalidValue."""
        shown = word[:_SHOWN]
        try:
            found = ShellLex(self.escape, env=dict(env), skip_unset_env=False).process_word(word)
        except (ValueError, RecursionError) as error:
            raise InvalidValue("word of a Dockerfile", shown, str(error) or "it cannot be read") from error
        self.left -= len(word) + len(found)
        if len(found) > LONGEST:
            raise InvalidValue("word of a Dockerfile", shown, f"with its variables it has more than {LONGEST} letters")
        if self.left < 0:
            why = f"the words of the file have more than {MOST_EXPANDED} letters with their variables"
            raise InvalidValue("word of a Dockerfile", shown, why)
        return found


@dataclass(frozen=True, kw_only=True)
class Heredoc:
    """A file that stands in the Dockerfile itself; its variables are to be expanded where ``expand``."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction. ``words`` are its arguments, ``flags`` what begins with ``--``, ``text`` all behind its name.

    ``is_exec`` tells the JSON form, which runs without a shell.
    """

    name: str
    line: int
    words: tuple[str, ...]
    flags: Mapping[str, str]
    text: str
    is_exec: bool
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What stands between one FROM and the next; ``image`` is what it is from, perhaps the name of an earlier one."""

    image: str
    name: str
    line: int
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """The stages in their order, and the arguments that stand before the first."""

    stages: tuple[Stage, ...]
    args: Mapping[str, str] = field(default_factory=dict)
    expanding: Expanding = field(default_factory=Expanding)

    def stage(self, name: str) -> Stage | None:
        """The stage of that name or number."""
        for number, stage in enumerate(self.stages):
            if name.lower() == stage.name.lower() or name == str(number):
                return stage
        return None


def parse(text: str, *, what: str) -> Dockerfile:
    """The Dockerfile that ``text`` is; ``what`` is what errors call it. Raises InvalidValue."""
    if len(text) > MOST:
        raise InvalidValue("Dockerfile", what, f"longer than {MOST} letters")
    try:
        ast = parse_dockerfile_ast(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("Dockerfile", what, str(error) or "it cannot be read") from error
    _check_size(ast.instructions, what)
    expanding = Expanding(escape=ast.escape_token)
    stages: list[tuple[DockerfileInstruction, list[Instruction]]] = []
    args: dict[str, str] = {}
    for each in ast.instructions:
        if each.name == "FROM":
            stages.append((each, []))
        elif stages:
            stages[-1][1].append(_instruction(each))
        elif each.name == "ARG":
            args.update(arguments(_instruction(each), args, expanding))
    if not stages:
        raise InvalidValue("Dockerfile", what, "it has no FROM")
    made = tuple(_stage(begin, inner, args, expanding) for begin, inner in stages)
    return Dockerfile(stages=made, args=args, expanding=expanding)


def _check_size(instructions: Sequence[DockerfileInstruction], what: str) -> None:
    """Hold a Dockerfile to what can be read in a moment. Raises InvalidValue."""
    words = sum(len(each.args) for each in instructions)
    heredocs = sum(len(each.heredocs) for each in instructions)
    counted = (len(instructions), MOST_INSTRUCTIONS, "instructions"), (words, MOST_WORDS, "words")
    for count, most, name in (*counted, (heredocs, MOST_HEREDOCS, "here-documents")):
        if count > most:
            raise InvalidValue("Dockerfile", what, f"it has more than {most} {name}")


def arguments(instruction: Instruction, env: Mapping[str, str], expanding: Expanding) -> dict[str, str]:
    """What an ARG sets where nobody else does: those with a default."""
    found: dict[str, str] = {}
    for word in instruction.words:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = expanding.expand(value, {**env, **found})
    return found


def _stage(
    begin: DockerfileInstruction, inner: list[Instruction], args: Mapping[str, str], expanding: Expanding
) -> Stage:
    image, *more = begin.args or ("",)
    if not image or (more and (len(more) != 2 or more[0].lower() != "as")):
        raise InvalidValue("FROM", " ".join(begin.args), f"line {begin.start_line}: expected IMAGE or IMAGE AS NAME")
    named = more[1] if more else ""
    return Stage(image=expanding.expand(image, args), name=named, line=begin.start_line, instructions=tuple(inner))


def _instruction(each: DockerfileInstruction) -> Instruction:
    flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in each.flags)
    text = each.original.strip().partition(" ")[2].strip()
    heredocs = tuple(Heredoc(name=doc.name, content=_content(doc), expand=doc.expand) for doc in each.heredocs)
    return Instruction(
        name=each.name,
        line=each.start_line,
        # As docker reads JSON: half of a letter is none.
        words=tuple(_LONE.sub("\N{REPLACEMENT CHARACTER}", word) for word in each.args),
        flags=flags,
        text=text,
        is_exec=each.json,
        heredocs=heredocs,
    )


def _content(doc: DockerfileHeredoc) -> str:
    if doc.chomp:
        return "".join(line.lstrip("\t") for line in doc.content.splitlines(keepends=True))
    return doc.content
