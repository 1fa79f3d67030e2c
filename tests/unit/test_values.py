"""Values that are frozen, typed and cheap."""

from __future__ import annotations

import pickle

import pytest

from oci_builder.values import Value


class Point(Value):
    """Somewhere."""

    x: int
    y: int = 2


class Named(Point):
    """Somewhere that has a name."""

    name: str = "here"


def test_fields_are_those_of_the_class_and_of_what_it_is_made_from() -> None:
    assert list(Named.fields()) == ["x", "y", "name"]
    assert vars(Named(x=1)) == {"x": 1, "y": 2, "name": "here"}


def test_a_value_with_changes_is_another() -> None:
    here = Named(x=1)
    assert (here.but(y=3).y, here.y, type(here.but(y=3))) == (3, 2, Named)


def test_a_value_is_not_changed() -> None:
    with pytest.raises(AttributeError, match=r"Point\.x is not to be changed"):
        Point(x=1).x = 2  # type: ignore[misc]


@pytest.mark.parametrize("given", [{}, {"x": 1, "z": 2}])
def test_what_does_not_fit_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(AttributeError, match=r"needs x|has no z"):
        Point(**given)


def test_a_value_survives_a_process_border() -> None:
    assert vars(pickle.loads(pickle.dumps(Named(x=1)))) == vars(Named(x=1))
