"""A translated recipe as the text of an image.toml, with its reasons in comments."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from oci_builder.dockerfiles.translating import Translation
from oci_builder.tomltext import document_text


def recipe_text(translation: Translation, *, up: str = "") -> str:
    """The text of the recipe, for a folder from which ``up`` (``../..``) leads to that of the Dockerfile."""
    document = moved(translation.recipe, up, translation.files) if up else translation.recipe
    return document_text(document, translation.comments)


def moved(document: Mapping[str, Any], up: str, beside: Collection[str]) -> dict[str, Any]:
    """The document with its paths as they lead from a folder below; files ``beside`` the recipe are there."""

    def path(name: str) -> str:
        return name if name in beside else posixpath.normpath(posixpath.join(up, name))

    found = dict(document)
    if "python" in found:
        python = {**found["python"]}
        if "requirements" in python:
            python["requirements"] = [path(name) for name in python["requirements"]]
        if "project" in python:
            python["project"] = path(python["project"])
        found["python"] = python
    if "copy" in found:
        found["copy"] = [{**copy, "src": path(copy["src"])} for copy in found["copy"]]
    return found
