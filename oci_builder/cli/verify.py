"""``ocibuild verify``: is a file the image it says it is, and does its recipe give the same bytes again?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import options

if TYPE_CHECKING:
    from oci_builder.check.rebuilt import Identity
    from oci_builder.recipes import ImageSource

_BUILDING = options.together(
    options.run_config,
    options.recipe_inputs,
    options.sources,
    options.locking,
    options.project,
    options.cache,
    options.jobs,
)


@click.command("verify")
@click.argument("file", type=options.FILE)
@click.argument("name", required=False)
@click.option("--lock", "lock", type=options.FILE, metavar="FILE", help="Compare with this pylock.toml too.")
@click.option("--rebuild", is_flag=True, help="Build NAME again, from nothing but its inputs, and compare.")
@_BUILDING
@options.talk
def command(file: Path, name: str | None, lock: Path | None, rebuild: bool, **flags: Any) -> None:
    """Check that a file holds the image it says.

    Every digest, size and reference in FILE is checked; the exit code is 3 when one does not hold. With --lock every
    file has to belong to a wheel of that lock, to the base or to ocibuild, none missing or changed. With --rebuild the
    image is built once more, no layer taken from the cache, for FILE's platform, names and date, and the first
    difference is named. NAME is by default what FILE's image is called; the options of the build are those of `ocibuild
    build` and have to be repeated.
    """
    from oci_builder.check.verify import verify_file
    from oci_builder.cli.messages import say
    from oci_builder.errors import CheckFailed

    if name and not rebuild:
        raise click.UsageError("an image's NAME goes with --rebuild", ctx=click.get_current_context())
    report = verify_file(file)
    if report.findings:
        raise CheckFailed(str(file), report.findings)
    if lock is not None:
        _compare_with_lock(file, lock, flags)
    if rebuild:
        _rebuild(file, name, flags)
    if not flags["quiet"]:
        say(f"{file}: {'holds, and its recipe gives the same bytes' if rebuild else 'holds'}")


def _compare_with_lock(file: Path, lock: Path, flags: dict[str, Any]) -> None:
    from oci_builder.check.locked import compare_with_lock, wheel_at_hand
    from oci_builder.check.reading import read_image
    from oci_builder.cli.messages import say
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import CheckFailed
    from oci_builder.store import Store
    from oci_builder.wheels.lock import read

    at_hand = wheel_at_hand(Store(make_settings(**flags).cache), lock.parent / "wheels")
    report = compare_with_lock(read_image(file), read(lock), at_hand)
    if report.findings:
        raise CheckFailed(f"{file} is not what {lock} says", report.findings)
    if not flags["quiet"]:
        counts = ", ".join(f"{count} files of {whose}" for whose, count in sorted(report.files.items()))
        say(f"{file}: as {lock} says: {counts}; {report.wheels} wheels compared")
        if report.unseen:
            say(f"not on this machine, so their files were only compared with RECORD: {', '.join(report.unseen)}")


def _rebuild(file: Path, name: str | None, flags: dict[str, Any]) -> None:
    from oci_builder import assemble
    from oci_builder.check.rebuilt import first_difference, identity
    from oci_builder.cli.build import make_options, open_source
    from oci_builder.cli.progress import shown
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import CheckFailed
    from oci_builder.layer import RECORDS
    from oci_builder.platforms import Platform
    from oci_builder.reference import Reference
    from oci_builder.store import Store

    known = identity(file)
    references = [Reference.parse(text) for text in known.references]
    settings = make_settings(**flags, epoch=known.created)
    source: ImageSource = open_source(settings, name=name or _called(known), **flags)
    how = make_options(settings, keep_lock=False, **flags)
    with (
        shown(settings) as listener,
        tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".rebuilt-") as folder,
        Store(settings.cache).without(RECORDS) as store,
    ):
        again = Path(folder) / file.name
        platform = Platform.parse(known.platform)
        assemble.write(source, platform, again, references=references, options=how, store=store, listener=listener)
        difference = first_difference(file, again)
    if difference:
        raise CheckFailed(f"{file} is not what {source.recipe.name} gives", [difference])


def _called(known: Identity) -> str:
    """The name of an image from its first tag. Raises click.UsageError where it has none."""
    from oci_builder.reference import Reference

    if not known.references:
        raise click.UsageError("this file has no tag: say which image it is, as NAME", ctx=click.get_current_context())
    return Reference.parse(known.references[0]).repository.rpartition("/")[2]
