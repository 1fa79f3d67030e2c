"""The report in a real browser: what a person sees and what happens on a click."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.packages import inventory
from oci_builder.report import Remark, render
from tests.support.browser import Page, chromium
from tests.support.installed import distribution, found, layer

pytestmark = pytest.mark.real

HOSTILE = "<img src=x onerror='document.title=1'></script><script>document.title=2</script>"


def column(page: Page, table: str, number: int) -> list[str]:
    """The visible cells of a column."""
    cells = f"document.querySelectorAll('#{table} tbody tr:not([hidden]) td:nth-child({number})')"
    return list(page.evaluate(f"[...{cells}].map(cell => cell.textContent)"))


def test_the_page_of_the_reference_image_sorts_filters_and_zooms(mypy_contents: ImageContents, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(render(inventory(mypy_contents), remarks=[Remark("verify", "error", "it is odd")]))
    with chromium() as page:
        page.open(path)
        assert page.evaluate("document.title") == "mypy.tar"
        assert column(page, "packages", 1)[0] == "scipy"
        page.click("#packages th:nth-child(1) button")
        names = column(page, "packages", 1)
        assert names == sorted(names) and len(names) > 70
        page.type("#packages input", "numpy BSD")
        assert column(page, "packages", 1) == ["numpy"]
        assert column(page, "findings", 3) == ["it is odd"]
        tiles = int(page.evaluate("document.querySelectorAll('#map .tile').length"))
        page.click("#map .tile")
        assert page.evaluate("document.querySelectorAll('.crumbs button').length") == 2
        page.click(".crumbs button")
        assert page.evaluate("document.querySelectorAll('#map .tile').length") == tiles
        picture = page.screenshot()
        assert page.requests == [path.as_uri()] and page.complaints == []
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    # A blank page packs to a few kilobytes.
    assert width == 1360 and height > 2000 and len(picture) > 100_000


def test_nothing_that_came_with_an_image_runs_in_the_page(tmp_path: Path) -> None:
    old = found(tmp_path / "y.tar", layer(distribution("demo", "0.9")))
    demo = distribution("demo", metadata=[f"License: {HOSTILE}", f"Summary: {HOSTILE}"])
    odd = {f"srv/{HOSTILE.replace('/', '_')}": b"1" * 9000}
    new = found(tmp_path / "x.tar", layer(demo, odd), run={"Cmd": [HOSTILE]})
    path = tmp_path / "report.html"
    path.write_bytes(render(new, before=old, remarks=[Remark("verify", "warning", HOSTILE)]))
    with chromium() as page:
        page.open(path)
        assert page.evaluate("document.title") == "x.tar"
        assert column(page, "findings", 3) == [HOSTILE]
        assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
        assert "demo" in page.evaluate("document.querySelector('#differences').textContent")
        assert page.requests == [path.as_uri()] and page.complaints == []
