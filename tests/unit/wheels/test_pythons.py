"""Which image is offered to whoever asks for a Python that a base has not."""

from __future__ import annotations

import pytest

from oci_builder.wheels.pythons import image_instead, newest_fitting, offer_of, specifiers


@pytest.mark.parametrize(
    ("asked", "version", "image"),
    [
        (">=3.11.5", "3.11.2", "3.11"),
        (">=3.12", "3.11.2", "3.14"),
        ("<3.11", "3.11.2", "3.10"),
        ("==3.9.*", "3.13.5", "3.9"),
        ("!=3.11.2", "3.11.2", "3.11"),
        ("~=3.12.1", "3.13.5", "3.12"),
        (">=3.11", "3.11.2", ""),
        (">=3.15", "3.11.2", ""),
        ("<3", "3.11.2", ""),
        ("three", "3.11.2", ""),
    ],
)
def test_the_image_has_what_is_asked_for_and_the_same_minor_version_goes_first(
    asked: str, version: str, image: str
) -> None:
    assert image_instead([asked], version) == (image and f"docker.io/library/python:{image}-slim")
    assert bool(offer_of([asked], version)) == bool(image)


def test_several_ask_together() -> None:
    both = specifiers([">=3.10", "<3.13,!=3.12.*"])
    assert both is not None and newest_fitting(both) == "3.11"
    assert specifiers([">=3.10", "x"]) is None
    assert image_instead([">=3.12", "<3.12"], "3.11.2") == ""
