"""``ocibuild tags``: what the images of a repository are called."""

from __future__ import annotations

import click

from oci_builder.cli import options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import CommandRequest, takes


class TagsRequest(CommandRequest):
    """What ``ocibuild tags`` is told: the repository."""

    repository: str


@click.command("tags")
@click.argument("repository")
@options.registry
@options.cache
@options.as_json
@options.talk
@takes(TagsRequest)
def command(request: TagsRequest) -> None:
    """List the tags of a repository in a registry.

    One stands on a line, in the order of their bytes. All pages are read before the first tag is printed.
    """
    from oci_builder.cli.registries import make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.terminal import tell, tell_json
    from oci_builder.reference import Reference
    from oci_builder.registry.tags import list_tags

    settings = make_settings(request)
    name = Reference.parse(request.repository)
    if name.digest or request.repository.endswith(f":{name.tag}"):
        raise misused(f"{request.repository}: a whole repository is listed; leave its tag or digest out")
    tags = list_tags(name, make_registries(settings, [name], request))
    if request.as_json:
        tell_json({"repository": f"{name.registry}/{name.repository}", "tags": list(tags)})
        return
    for tag in tags:
        tell(tag)
