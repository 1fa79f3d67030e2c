"""Which wheels share a layer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_builder.digest import Digest
from oci_builder.wheels.layering import LARGE, Group, Strategy, Wheel, plan
from oci_builder.wheels.pins import WheelPin


def wheel(name: str, size: int, version: str = "1", platform: str = "any") -> Wheel:
    digest = Digest.of(f"{name} {version} {platform}".encode())
    filename = f"{name}-{version}-py3-none-{platform}.whl"
    pin = WheelPin(name=name, version=version, filename=filename, sha256=digest, size=size, requested=True)
    return Wheel(pin=pin, path=Path(name), size=size)


def names(groups: tuple[Group, ...]) -> list[list[str]]:
    return [[wheel.pin.name for wheel in group.wheels] for group in groups]


def test_a_large_wheel_stands_alone_and_the_small_ones_come_last() -> None:
    wheels = [wheel("tiny", 1), wheel("scipy", LARGE), wheel("numpy", 5 * LARGE), wheel("small", LARGE - 1)]
    assert names(plan(wheels, strategy="size", budget=10)) == [["numpy"], ["scipy"], ["small", "tiny"]]


def test_by_size_the_largest_lie_lowest_and_those_about_as_large_by_name() -> None:
    sizes = {"a": LARGE, "b": 9 * LARGE, "c": 40 * LARGE, "d": 33 * LARGE, "e": 1, "f": 10 * LARGE}
    wheels = [wheel(name, size) for name, size in sizes.items()]
    assert names(plan(wheels, strategy="size", budget=9, order="size")) == [["c"], ["d"], ["b"], ["f"], ["a"], ["e"]]
    grown = [wheel(name, size + (LARGE if name == "b" else 0)) for name, size in sizes.items()]
    assert names(plan(grown, strategy="size", budget=9, order="size")) == [["c"], ["d"], ["b"], ["f"], ["a"], ["e"]]


def test_a_small_budget_keeps_the_largest_alone() -> None:
    wheels = [wheel("a", 3 * LARGE), wheel("b", 9 * LARGE), wheel("c", 5 * LARGE), wheel("d", 1)]
    assert names(plan(wheels, strategy="size", budget=3)) == [["b"], ["c"], ["a", "d"]]


def test_one_layer_is_what_one_means() -> None:
    assert names(plan([wheel("b", LARGE), wheel("a", 1)], strategy="one", budget=9)) == [["a", "b"]]


def test_each_wheel_has_a_layer_while_the_budget_lasts() -> None:
    wheels = [wheel(name, 1) for name in "dcba"]
    assert names(plan(wheels, strategy="each", budget=4)) == [["a"], ["b"], ["c"], ["d"]]
    assert names(plan(wheels, strategy="each", budget=3)) == [["a"], ["b"], ["c", "d"]]


def test_for_several_platforms_the_small_wheels_that_fit_all_share_a_layer_of_their_own() -> None:
    def planned(platform: str, budget: int) -> list[list[str]]:
        wheels = [wheel("yaml", 9, platform=platform), wheel("six", 9), wheel("numpy", LARGE, platform=platform)]
        return names(plan([*wheels, wheel("idna", 9)], strategy="size", budget=budget, apart=True))

    assert planned("manylinux_2_17_x86_64", 9) == [["numpy"], ["yaml"], ["idna", "six"]]
    assert planned("manylinux_2_17_x86_64", 2) == [["numpy", "yaml"], ["idna", "six"]]
    assert planned("manylinux_2_17_x86_64", 1) == [["idna", "numpy", "six", "yaml"]]


def test_no_wheels_need_no_layer() -> None:
    assert plan([], strategy="size", budget=5) == ()


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 8 * LARGE), max_size=30),
    st.integers(1, 20),
    st.sampled_from(["size", "one", "each"]),
    st.booleans(),
)
def test_every_wheel_is_in_exactly_one_group_within_the_budget(
    sizes: dict[str, int], budget: int, how: Strategy, apart: bool
) -> None:
    wheels = [wheel(name, size, platform="x" if size % 2 else "any") for name, size in sizes.items()]
    groups = plan(wheels, strategy=how, budget=budget, apart=apart)
    assert sorted(name for group in names(groups) for name in group) == sorted(sizes)
    assert len(groups) <= budget


@pytest.mark.parametrize("changed", ["numpy", "six"])
def test_a_changed_pin_moves_no_other_wheel(changed: str) -> None:
    sizes = {"numpy": 9 * LARGE, "scipy": 20 * LARGE, "six": 10, "idna": 20}
    before = plan([wheel(name, size) for name, size in sizes.items()], strategy="size", budget=9)
    after = plan(
        [wheel(name, size, "2" if name == changed else "1") for name, size in sizes.items()], strategy="size", budget=9
    )
    differing = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(differing) == 1 and changed in names((differing[0],))[0]
