"""``ocibuild pull``: an image from a registry to a file."""

from __future__ import annotations

import click

from oci_builder.cli import options
from oci_builder.cli.request import CommandRequest, takes


class PullRequest(CommandRequest):
    """What ``ocibuild pull`` is told: what to fetch, and where it goes."""

    reference: str
    out: str
    out_format: str | None = None
    platforms: tuple[str, ...] = ()


@click.command("pull")
@click.argument("reference")
@click.option(
    "-o",
    "--out",
    metavar="FILE|DIR/",
    required=True,
    help="Where to write: .tar, .tar.gz or .tgz; with a slash at its end, the folder of an OCI image layout; - is "
    "stdout.",
)
@options.out_format
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    help="linux/amd64 or linux/arm64; repeatable. [a file: the first of them that is there; a folder: everything, "
    "whatever it runs on, the index as it is]",
)
@options.registry
@options.cache
@options.jobs
@options.as_json
@options.talk
@takes(PullRequest)
def command(request: PullRequest) -> None:
    """Write an image of a registry to a file that docker, podman and containerd load.

    Every byte is verified on the way. Layers stay in the cache: another pull fetches what is new.
    """
    from oci_builder.assemble.delivery import pull_file
    from oci_builder.cli.delivery import check_streams, is_folder, out_folder, stream_path
    from oci_builder.cli.messages import misused
    from oci_builder.cli.progress import human_bytes, shown
    from oci_builder.cli.registries import make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.terminal import say, tell_json
    from oci_builder.export.output import check_target
    from oci_builder.platforms import Platform
    from oci_builder.reference import Reference

    settings = make_settings(request)
    name = Reference.parse(request.reference)
    platforms = tuple(dict.fromkeys(Platform.parse(text) for text in request.platforms))
    out = request.out
    folder = is_folder(out, request.out_format)
    path = out_folder(out) if folder else stream_path(out)
    if not folder and len(platforms) > 1:
        raise misused(f"--out {out}: a file holds one platform; a folder, with a slash at its end, takes several")
    if not folder:
        check_target(path)
        check_streams([path], as_json=request.as_json)
    registries = make_registries(settings, [name], request)
    with shown(settings) as reporter:
        context = settings.context(registries, reporter)
        pulled = pull_file(name, path, platforms=platforms, folder=folder, context=context)
    if not settings.quiet:
        ids = ", ".join(f"{image.platform} {image.id.hex[:12]}" for image in pulled.images)
        say(f"{path}: {ids}, {human_bytes(pulled.received)} received, {human_bytes(pulled.written)} written")
    if request.as_json:
        images = [
            {"id": str(image.id), "digest": str(image.digest), "platform": str(image.platform)}
            for image in pulled.images
        ]
        tell_json({"path": str(path), "received": pulled.received, "images": images})
