"""Options that commands share, as decorators; each is declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def image_names() -> tuple[str, ...]:
    """The images of the folder we stand in: what a shell completes."""
    from oci_builder.catalog import known_images

    return known_images(Path())


def _complete_image(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from oci_builder.catalog import known_images

    names = known_images(context.params.get("project_dir") or Path())
    return [name for name in names if name.startswith(incomplete)]


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"expected NAME=VALUE, got {value!r}", ctx=context, param=parameter)
    return {name: value for name, _, value in (text.partition("=") for text in values)}


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator; they stand in --help in this order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


image_name = click.argument("name", shell_complete=_complete_image)

image_names_or_all = together(
    click.argument("names", metavar="NAME...", nargs=-1, shell_complete=_complete_image),
    click.option("--all", "every", is_flag=True, help="Build every image of build/."),
)

recipe_inputs = together(
    click.option("--base", metavar="LAYER|IMAGE", help="What to stand on, instead of the recipe's base."),
    click.option(
        "-r",
        "--requirement",
        "requirements",
        multiple=True,
        type=FILE,
        metavar="FILE",
        help="Requirements instead of the recipe's; repeatable.",
    ),
)

recipe = together(
    recipe_inputs,
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        help="linux/amd64 or linux/arm64; repeatable. [the recipe's first; all of them with --push, a folder, or "
        "{arch} in --out]",
    ),
)

run_config = together(
    click.option(
        "--user",
        metavar="NAME[:UID[:GID]]",
        help="Who runs, instead of the recipe's user; a number alone is its UID, root runs as root.",
    ),
    click.option("--label", "labels", multiple=True, callback=_pairs, metavar="K=V", help="Add a label; repeatable."),
    click.option(
        "--env", "env", multiple=True, callback=_pairs, metavar="K=V", help="Add an environment variable; repeatable."
    ),
)

image_config = together(
    click.option(
        "-t",
        "--tag",
        "tags",
        multiple=True,
        metavar="REFERENCE",
        help="What the image is called; repeatable. [NAME:latest]",
    ),
    run_config,
    click.option(
        "--epoch",
        type=click.IntRange(0, 8_589_934_591),
        metavar="SECONDS",
        help="The image's date, in seconds since 1970. [SOURCE_DATE_EPOCH, else the base's date]",
    ),
)


def _mirrors(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value.startswith(("http://", "https://")):
            from oci_builder.errors import InvalidValue
            from oci_builder.redaction import redacted

            shown = redacted(f"//{value}").removeprefix("//") if "://" not in value else redacted(value)
            hint = f"did you mean http://{shown}?" if "://" not in value else "name it by http or https"
            raise InvalidValue("mirror", shown, "an address begins with http:// or https://", hint=hint)
    return values


debian = click.option(
    "--mirror",
    "mirrors",
    callback=_mirrors,
    multiple=True,
    envvar="OCIBUILD_DEBIAN_MIRROR",
    metavar="URL",
    help="Take Debian packages from there; repeatable. [OCIBUILD_DEBIAN_MIRROR]",
)

layers = click.option(
    "--layers",
    multiple=True,
    type=FOLDER,
    envvar="OCIBUILD_LAYERS",
    metavar="DIR",
    help="Look for base layers there first; repeatable. [OCIBUILD_LAYERS]",
)

find_links = click.option(
    "--find-links", multiple=True, metavar="PATH|URL", help="Look for wheels there too; repeatable."
)

sources = together(
    find_links,
    click.option(
        "--no-index", "--offline", "offline", is_flag=True, help="Use no network, for wheels, packages or bases."
    ),
    click.option("--online", is_flag=True, help="Ask indexes for wheels although build/NAME/wheels/ exists."),
    debian,
    layers,
)

locking = together(
    click.option("--locked", is_flag=True, help="Fail when the lock is missing or no longer fits the requirements."),
    click.option("--frozen", is_flag=True, help="Build what the lock says without looking at the requirements."),
)

talk = together(
    click.option(
        "--progress",
        type=click.Choice(["auto", "rich", "plain", "none"]),
        default="auto",
        help="How to show what goes on. [auto: rich on a terminal, else plain]",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON to stdout.")

project = click.option(
    "--project-dir", type=FOLDER, metavar="DIR", help="The folder that holds build/ and layers/. [the current one]"
)
cache = click.option(
    "--cache-dir",
    type=FOLDER,
    envvar="OCIBUILD_CACHE_DIR",
    metavar="DIR",
    help="Where finished work is kept. [OCIBUILD_CACHE_DIR, else the user's cache folder]",
)
cache_limit = click.option(
    "--cache-max-size",
    envvar="OCIBUILD_CACHE_MAX_SIZE",
    metavar="SIZE",
    help="Keep no more than so much (20GB) there; what was used least recently goes. [OCIBUILD_CACHE_MAX_SIZE]",
)
jobs = click.option("-j", "--jobs", type=click.IntRange(1, 256), help="Processes at once. [one per CPU]")

registry = together(
    click.option("--insecure", is_flag=True, help="Allow plain http and unknown certificates of registries."),
    click.option(
        "--ca-file",
        type=FILE,
        envvar="OCIBUILD_CA_FILE",
        metavar="FILE",
        help="Trust the certificates in this PEM file as well. [OCIBUILD_CA_FILE]",
    ),
    click.option(
        "--creds-stdin",
        is_flag=True,
        help="Read USER:PASSWORD from a line of stdin. [OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD, else "
        "what docker login or podman login left]",
    ),
)

out_format = click.option(
    "--format",
    "out_format",
    type=click.Choice(["tar", "oci-dir"]),
    help="What to write. [oci-dir where --out ends in a slash, else tar]",
)

push = click.option(
    "--push",
    "pushes",
    multiple=True,
    metavar="REFERENCE",
    help="Push the image there; repeatable. Without --out no file is written. Several platforms become one index.",
)

shared_cache = together(
    click.option(
        "--cache-from",
        "cache_from",
        multiple=True,
        metavar="REPOSITORY",
        help="Take finished layers from there, if they are there; repeatable. Whoever may write to it decides what is "
        "in the image.",
    ),
    click.option(
        "--cache-to", "cache_to", multiple=True, metavar="REPOSITORY", help="Give finished layers there; repeatable."
    ),
)
