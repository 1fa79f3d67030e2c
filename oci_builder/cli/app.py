"""The command ``ocibuild``: its verbs, each loaded when it is used; a first word that is no verb names an image."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from oci_builder.cli.habits import verb_hint, word_hint
from oci_builder.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_LONG = frozenset(
    (
        *("out", "load", "push", "sbom", "verify", "tag", "user", "label", "env"),
        *("epoch", "base", "platform", "mirror", "layers", "offline", "online", "locked", "frozen"),
        *("progress", "quiet", "debug", "json", "insecure", "jobs", "format", "all", "help"),
        *(
            "version",
            "cache-dir",
            "cache-from",
            "cache-to",
            "project-dir",
            "find-links",
            "no-index",
            "out-dir",
            "requirement",
        ),
        *("ca-file", "creds-stdin"),
    )
)
"""Options with two dashes that are written with one; none of them is short ones in a row that anybody writes."""

_OWN = ("--help", "-h", "--version")
COMMANDS = {
    "init": "Write the recipe of a project, or of its Dockerfile.",
    "build": "Build images and write them to files, a folder or a registry.",
    "plan": "Show what a build would do, and do none of it.",
    "lock": "Write down which wheels an image is made of.",
    "download": "Fetch all that an image is made from.",
    "push": "Push an image file to a registry.",
    "pull": "Write an image of a registry to a file that docker, podman and containerd load.",
    "update": "Write what brings a target that has image OLD up to image NEW.",
    "rebase": "Put IMAGE onto another base, where it runs there as it did.",
    "tags": "List the tags of a repository in a registry.",
    "check": "Check that an image would run, without running it.",
    "verify": "Check that an image is what it says it is.",
    "inspect": "Show configuration, layers and packages of an image.",
    "tree": "Show what is large in an image: by layer, package and folder.",
    "why": "Say who requires PACKAGE in an image, which layer holds it, and its size.",
    "diff": "Show what changes from image OLD to image NEW.",
    "sbom": "Write the bill of materials of an image.",
    "report": "Write a page that shows an image: sizes, packages, licences, findings.",
    "schema": "Print the JSON Schema of image.toml, or of layer.toml.",
    "base": "Look after the bases that images stand on.",
    "cache": "Look at the folder of finished work, keep it small, or empty it.",
}
"""The verbs, in the order in which one meets them, and what each does, so that none is loaded to say it."""


class Verbs(click.Group):
    """Commands in modules of their names, and ``build`` for whatever is none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which one meets them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with what they do."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command; its module is imported now and not before."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"oci_builder.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``ocibuild mypy …`` and ``ocibuild --out x.tar mypy`` are ``ocibuild build …``."""
        args = _plain_words(args)
        if not ctx.resilient_parsing:
            _expect_dashes(ctx, args)
        if args and args[0] not in (*COMMANDS, *_OWN):
            args = ["build", *self._images_only(ctx, args)]
        return super().parse_args(ctx, args)

    def _images_only(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``args``, unless its first word is a verb with a slip in it: two names in a row are no image."""
        if not ctx.resilient_parsing and (instead := verb_hint(args[0], args[1:])):
            raise click.UsageError(f"no command {args[0]!r}; {instead}", ctx=ctx)
        if not ctx.resilient_parsing and (instead := word_hint(args[0], args[1:])) and not _is_image(args):
            raise click.UsageError(f"no command {args[0]!r}; {instead}", ctx=ctx)
        if len(args) > 1 and not args[1].startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            if verb := get_close_matches(args[0], COMMANDS, n=1, cutoff=0.75):
                raise click.UsageError(f"no command {args[0]!r}; did you mean {verb[0]!r}?", ctx=ctx)
        return args

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs, and the images of this folder."""
        from click.shell_completion import CompletionItem

        from oci_builder.cli.options import image_names

        verbs = super().shell_complete(ctx, incomplete)
        return verbs + [CompletionItem(name) for name in image_names() if name.startswith(incomplete)]


def _is_image(args: list[str]) -> bool:
    """Whether an image may be called as the first word is: here, or in a project named elsewhere."""
    from oci_builder.cli.options import image_names

    return args[0] in image_names() or any(word.startswith("--project-dir") for word in args)


def _expect_dashes(ctx: click.Context, args: list[str]) -> None:
    """Refuse dashes of programs that write letters, and one dash where two are meant: click takes -out for -o ut."""
    for word in args:
        name = word.partition("=")[0]
        if word[:1] in ("–", "—", "−"):
            meant = f"--{word.lstrip('–—−-')}"
            raise click.UsageError(f"{word}: a dash that is none a keyboard writes; did you mean {meant}?", ctx=ctx)
        if name[1:] in _LONG and name.startswith("-"):
            raise click.UsageError(f"{word}: one dash; did you mean -{word}?", ctx=ctx)


def _plain_words(args: list[str]) -> list[str]:
    """``help VERB`` as ``VERB --help``, and ``-v`` alone as ``--version``: what other programs call these."""
    if args[:1] == ["help"]:
        return [*(word for word in args[1:] if not word.startswith("-")), "--help"]
    return ["--version"] if args in (["-v"], ["-V"]) else args


@click.group(
    "ocibuild",
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Tab completion in bash, zsh or fish: put `eval "$(_OCIBUILD_COMPLETE=bash_source ocibuild)"` (or '
    "zsh_source, fish_source) into the shell's start file.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Build an OCI image from Python wheels: no Docker, no root, nothing executed that came from a package.

    `ocibuild NAME` is short for `ocibuild build NAME`, where NAME is a folder under build/ that holds an image.toml,
    a requirements.txt or both.
    """
