"""The benchmarks say what was measured: inputs are what they are called, rows are kept, verdicts are computed."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from benchmarks.inputs import bumped, pins
from benchmarks.measuring import Cost, Failed, Runner, repeated
from benchmarks.report import BEGIN, END, body, write_page
from benchmarks.results import OURS, Book, Results, Row, load
from benchmarks.synthetic import synthetic
from benchmarks.targets import ANEW, targets
from benchmarks.year import BASE, SMALL, Week, WeekLayer, blobs, by_changes, by_size, exact, patches, wholes
from tests.support.wheels import make_wheel


def _cost(seconds: float) -> Cost:
    return Cost(seconds=seconds, cpu=seconds, peak=2, private=1, written=0, others=0)


def _row(seconds: float, scene: str = "cold", who: str = OURS) -> Row:
    return Row(scene=scene, who=who, cost=_cost(seconds))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("one", "two"):
        files = {f"{name}/module_{number}.py": f"VALUE = {number}\n" * 50 for number in range(30)}
        make_wheel(folder, name, files=files)
    return folder


def test_made_up_wheels_are_wheels_of_the_size_asked_for(models: Path, tmp_path: Path) -> None:
    made = sorted(synthetic(models, tmp_path / "made", count=3, size=30_000).iterdir())
    assert [path.name for path in made] == [f"made_{number}-1.0-py3-none-any.whl" for number in range(3)]
    contents: list[bytes] = []
    for path in made:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            parts = [archive.read(name) for name in archive.namelist() if "/part_" in name]
            listed = archive.read(f"{path.name.split('-')[0]}-1.0.dist-info/RECORD").decode().splitlines()
            assert {line.split(",")[0] for line in listed} == set(archive.namelist())
        contents += parts
    assert sum(map(len, contents)) == pytest.approx(30_000, rel=0.05)
    assert len(set(contents)) == len(contents)


def test_made_up_wheels_are_the_same_every_time(models: Path, tmp_path: Path) -> None:
    def digests(name: str) -> list[str]:
        made = synthetic(models, tmp_path / name, count=2, size=20_000)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made.iterdir())]

    assert digests("first") == digests("second")


def test_a_bumped_wheel_is_the_smallest_with_another_version(models: Path, tmp_path: Path) -> None:
    make_wheel(models, "tiny", "3.1", files={"tiny.py": ""})
    folder, changed = bumped(models, tmp_path / "bumped")
    assert pins(folder) == "one==1.0\ntiny==3.1.post1\ntwo==1.0\n"
    with zipfile.ZipFile(changed) as archive:
        assert b"Version: 3.1.post1" in archive.read("tiny-3.1.post1.dist-info/METADATA")


def test_rows_are_kept_at_once_and_replaced_by_later_ones(tmp_path: Path) -> None:
    book = Book(tmp_path / "results.json", quick=False)
    book.add(_row(2.0))
    book.add(_row(3.0, "warm"))
    again = Book(tmp_path / "results.json", quick=False)
    again.add(_row(1.0))
    assert [(row.scene, row.cost and row.cost.seconds) for row in load(tmp_path / "results.json").rows] == [
        ("cold", 1.0),
        ("warm", 3.0),
    ]


def test_a_figure_is_not_given_up_for_a_reason_why_there_is_none(tmp_path: Path) -> None:
    book = Book(tmp_path / "results.json", quick=False)
    book.add(_row(2.0))
    book.add(Row(scene="cold", who=OURS, why="no time was left"))
    assert book.results.seconds("cold") == 2.0


def test_a_quick_run_keeps_nothing_of_a_whole_one(tmp_path: Path) -> None:
    Book(tmp_path / "results.json", quick=False).add(_row(2.0))
    assert Book(tmp_path / "results.json", quick=True).results.rows == []


def test_a_part_that_was_cut_short_is_not_finished(tmp_path: Path) -> None:
    book = Book(tmp_path / "results.json", quick=False)
    book.finish("cold", whole=True)
    book.finish("warm", whole=True)
    book.finish("cold", whole=False)
    assert load(tmp_path / "results.json").finished == ["warm"]


def test_a_program_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(Failed, match="exit 3: out of luck"):
        Runner()(sys.executable, "-c", "print('out of luck'); raise SystemExit(3)")


def test_a_program_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(Failed, match="nobody-has-this"):
        Runner()("nobody-has-this")


def test_a_program_that_takes_too_long_is_ended() -> None:
    run = Runner()
    with run.within(0.5), pytest.raises(Failed, match="not done after"):
        run(sys.executable, "-c", "import time; time.sleep(600)")


def test_what_children_used_is_counted() -> None:
    child = "import sys, subprocess; subprocess.run([sys.executable, '-c', 'sum(range(10**7))'])"
    assert Runner()(sys.executable, "-c", child).cpu > 0.05


def test_short_ones_are_repeated_and_the_median_counts() -> None:
    costs = iter([_cost(3.0), _cost(1.0), _cost(2.0)])
    prepared: list[int] = []
    cost = repeated(lambda: next(costs), before=lambda: prepared.append(1), times=3)
    assert (cost.seconds, cost.times, len(prepared)) == (2.0, (3.0, 1.0, 2.0), 3)


def test_long_ones_are_done_once() -> None:
    costs = iter([_cost(30.0)])
    assert repeated(lambda: next(costs), before=None, times=3).seconds == 30.0


def test_verdicts_follow_from_the_rows() -> None:
    results = Results(quick=False, rows=[_row(0.6, "warm", ANEW), _row(0.1, "warm")])
    verdicts = {(target.scenario, target.wanted): target.met for target in targets(results)}
    assert verdicts[("nothing changed, the file written anew", "≤ 0.5 s")] is False
    assert verdicts[("nothing changed, the file already right", "≤ 0.15 s")] is True
    assert verdicts[("`ocibuild --help`", "≤ 0.12 s")] is None


def test_results_take_the_place_of_the_last_ones_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Ours\n\n{BEGIN}obsolete\n{END}kept\n")
    results = Results(quick=False, machine={"processor": "2 cores"}, rows=[_row(2.0), _row(5.0, who="others")])
    for _ in range(2):
        write_page(page, page, results, {})
    text = page.read_text()
    assert "| others | 5.00 | 2.5 × |" in text
    assert text.count(body(results, {}, tmp_path)) == 1
    assert text.startswith("# Ours\n\n<!--")
    assert text.endswith("<!-- end of results -->\nkept\n")
    assert "obsolete" not in text


def _week(day: str, patch: int = 0, **layers: tuple[str, int]) -> Week:
    made = [WeekLayer(name=name, diff_id=diff_id, size=size) for name, (diff_id, size) in layers.items()]
    return Week(day=day, changed=(), layers=tuple(made), whole=sum(size for _, size in layers.values()), patch=patch)


WEEKS = [
    _week("1", base=("b", 50), low=("l1", 20), mid=("m1", 20), top=("t1", 10)),
    _week("2", 30, base=("b", 50), low=("l2", 20), mid=("m1", 20), top=("t1", 10)),
    _week("3", 0, base=("b", 50), low=("l2", 20), mid=("m1", 20), top=("t1", 10)),
    _week("4", 30, base=("b", 50), low=("l3", 20), mid=("m1", 20), top=("t1", 10)),
    _week("5", 5, base=("b", 50), low=("l3", 20), mid=("m1", 20), top=("t2", 10)),
]


def test_a_year_is_added_up_by_what_each_store_goes_by() -> None:
    assert wholes(WEEKS) == [100, 0, 100, 100]
    assert exact(WEEKS) == [50, 0, 50, 10]
    assert blobs(WEEKS) == [20, 0, 20, 10]
    assert patches(WEEKS) == [30, 0, 100, 5]
    assert exact(WEEKS, lambda week: ["base", "mid", "top", "low"]) == [20, 0, 20, 30]


def test_orders_are_learned_from_what_changed_least() -> None:
    names = [msgspec.structs.replace(week, layers=tuple(_renamed(week))) for week in WEEKS]
    assert by_changes(names) == [BASE, "mid", "top", "low"]
    assert by_size(names[0]) == [BASE, "low", "mid", "top", SMALL]


def _renamed(week: Week) -> list[WeekLayer]:
    return [msgspec.structs.replace(layer, name=BASE) if layer.name == "base" else layer for layer in week.layers]
