from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import NotFound
from oci_builder.inspect.packages import Inventory
from oci_builder.inspect.why import reason
from tests.support.installed import distribution, found, layer, package


def image(path: Path) -> Inventory:
    return found(
        path / "x.tar",
        layer(package("python3.11", fields="Depends: libc6 (>= 2), libx | liby\n"), package("libc6"), package("liby")),
        layer(
            distribution("app", requires=["web[fast]>=1"], requested=True),
            distribution("web", requires=["speed; extra == 'fast'", "docs; extra == 'doc'", "base>0,<9"]),
            distribution("speed"),
            distribution("docs"),
            distribution("base", requires=["app"]),
        ),
    )


def test_a_requirement_is_told_in_the_words_of_who_requires(tmp_path: Path) -> None:
    found_reason = reason(image(tmp_path), "base")
    assert [(each.package.name, each.need.text, each.active) for each in found_reason.required_by] == [
        ("web", "base<9,>0", True)
    ]
    assert [[each.name for each in chain] for chain in found_reason.chains] == [["app", "web", "base"]]


def test_an_extra_counts_where_somebody_asks_for_it(tmp_path: Path) -> None:
    speed, docs = reason(image(tmp_path), "speed"), reason(image(tmp_path), "docs")
    assert [(each.extra, each.active) for each in speed.required_by] == [("fast", True)]
    assert [(each.extra, each.active) for each in docs.required_by] == [("doc", False)]
    assert (len(speed.chains), docs.chains) == (1, ())


def test_what_was_asked_for_is_its_own_reason_even_where_others_need_it(tmp_path: Path) -> None:
    document = reason(image(tmp_path), "app").to_json()
    assert (document["requested"], document["chains"]) == (True, [])


def test_a_debian_package_is_needed_by_any_alternative(tmp_path: Path) -> None:
    found_reason = reason(image(tmp_path), "liby")
    assert [each.need.text for each in found_reason.required_by] == ["libx | liby"]
    assert [[each.name for each in chain] for chain in found_reason.chains] == [["python3.11", "liby"]]


def test_the_layer_and_the_bytes_are_told(tmp_path: Path) -> None:
    found_reason = reason(image(tmp_path), "web")
    assert list(found_reason.layers) == [2]
    assert found_reason.size == sum(found_reason.layers.values()) > 100


def test_a_package_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        reason(image(tmp_path), "nowhere")
