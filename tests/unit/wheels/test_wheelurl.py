from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.wheels.wheelurl import parse_wheel_url

NAME = "demo-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("text", "url", "path"),
    [
        (f"https://h.example/a/{NAME}", f"https://h.example/a/{NAME}", None),
        (f"http://h.example:8080/{NAME}?token=x#sha256=00", f"http://h.example:8080/{NAME}?token=x", None),
        (f"https://[::1]/{NAME}", f"https://[::1]/{NAME}", None),
        (
            "https://h.example/demo-1.0%2Blocal-py3-none-any.whl",
            "https://h.example/demo-1.0%2Blocal-py3-none-any.whl",
            None,
        ),
        (f"file:///a%20b/{NAME}", f"file:///a%20b/{NAME}", Path(f"/a b/{NAME}")),
        (f"file://localhost/{NAME}", f"file://localhost/{NAME}", Path(f"/{NAME}")),
    ],
)
def test_a_url_of_a_wheel_is_taken_without_its_fragment(text: str, url: str, path: Path | None) -> None:
    found = parse_wheel_url(text)
    assert (found.url, found.path, found.name) == (url, path, "demo")


@pytest.mark.parametrize(
    "text",
    [
        "https://h.example/demo-1.0.tar.gz",
        f"https://h.example/{NAME}/",
        f"https://h.example/x#/{NAME}",
        f"https://h.example/x?/{NAME}",
        f"git+https://h.example/{NAME}",
        f"ftp://h.example/{NAME}",
        f"file://h.example/{NAME}",
        f"http:///{NAME}",
        f"http://[::1/{NAME}",
        f"https://h.example/{NAME}\n-e ./evil\n/{NAME}",
        f"https://h.example/a --no-binary=:all: /{NAME}",
        f"https://h.example/${{SECRET}}/{NAME}",
        f"https://h.example/%00/{NAME}",
        f"https://h.example/%ff/{NAME}",
        f"https://h.example/\ud800/{NAME}",
        f"https://h.example/\u2028/{NAME}",
        "https://h.example/demo.whl",
        "https://h.example/" + "a" * 5000 + NAME,
        f"/{NAME}",
        "",
    ],
)
def test_what_is_no_url_of_a_wheel_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_wheel_url(text)


@pytest.mark.parametrize(("name", "version"), [("other", "1.0"), ("demo", "1.1")])
def test_a_wheel_of_another_project_or_version_does_not_fit(name: str, version: str) -> None:
    found = parse_wheel_url(f"https://h.example/{NAME}")
    found.check_fits("demo", "1")
    with pytest.raises(ValueError, match="is not the name of a wheel of"):
        found.check_fits(name, version)
