"""Values whose classes cost nothing to make, for what is loaded before it is known whether there is anything to do."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Self, dataclass_transform

NOTHING: MappingProxyType[str, Any] = MappingProxyType({})
"""A mapping with nothing in it, to be a default."""


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
class Value:
    """Fields by name, given when it is made and never changed; each class names its own, with types and defaults.

    To a type checker it is a frozen dataclass. It is none: for those Python writes and compiles methods, class by
    class, whenever a program starts, and that took a tenth of a build with nothing to do.
    """

    def __init__(self, **given: Any) -> None:
        """Raises AttributeError for a field that there is not, and for one that is missing."""
        fields = vars(self)
        for name in self.fields():
            if name in given:
                fields[name] = given.pop(name)
            elif hasattr(type(self), name):
                fields[name] = getattr(type(self), name)
            else:
                raise AttributeError(f"{type(self).__name__} needs {name}")
        if given:
            raise AttributeError(f"{type(self).__name__} has no {', '.join(given)}")

    @classmethod
    def fields(cls) -> Iterator[str]:
        """The names of its fields, those of the class that it is made from first."""
        for kind in reversed(cls.__mro__[:-1]):
            yield from kind.__annotations__

    def but(self, **changes: Any) -> Self:
        """The same with other values for some fields."""
        return type(self)(**{**vars(self), **changes})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is not to be changed")
