"""What a build says of itself, on a terminal, in a log, and to nobody."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from oci_builder.cli.progress import Timed, human_bytes, shown
from oci_builder.cli.request import CommandRequest
from oci_builder.cli.settings import make_settings


def play(reporter: Timed) -> None:
    with reporter.stage("fetch"):
        reporter.advance("numpy [2.4]", 200_000, 400_000)
        reporter.note("numpy was [yanked]")
        reporter.advance("pandas", 400_000, 400_000)
    with reporter.stage("layers"):
        reporter.advance("1", 1, None)


@pytest.mark.parametrize("progress", ["rich", "plain", "none"])
def test_every_way_times_the_stages_and_starts_anew_after_a_lap(
    tmp_path: Path, progress: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(make_settings(CommandRequest(cache_dir=tmp_path, progress=progress))) as reporter:
        play(reporter)
        assert list(reporter.lap()) == ["fetch", "layers", "total"]
        assert list(reporter.lap()) == ["total"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "numpy was [yanked]" in err


def test_a_log_says_when_a_stage_begins_and_when_it_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(make_settings(CommandRequest(cache_dir=tmp_path, progress="plain"))) as reporter:
        play(reporter)
    begun, note, fetched, *layers = capsys.readouterr().err.splitlines()
    assert (begun, note) == ("fetch …", "numpy was [yanked]")
    assert (fetched.split()[0], layers[0], layers[1].split()[0]) == ("fetch", "layers …", "layers")


def test_quiet_drops_notes_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(make_settings(CommandRequest(cache_dir=tmp_path, quiet=True))) as reporter:
        play(reporter)
    assert capsys.readouterr().err == ""


def test_bars_are_drawn_without_a_thread_since_workers_are_forked(tmp_path: Path) -> None:
    before = threading.active_count()
    with shown(make_settings(CommandRequest(cache_dir=tmp_path, progress="rich"))) as reporter:
        play(reporter)
        assert threading.active_count() == before


def test_a_stage_that_fails_is_timed_and_the_terminal_given_back(tmp_path: Path) -> None:
    with shown(make_settings(CommandRequest(cache_dir=tmp_path, progress="rich"))) as reporter:
        with pytest.raises(ValueError, match="no"), reporter.stage("fetch"):
            raise ValueError("no")
        assert "fetch" in reporter.lap()


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1234567, "1.2 MB"), (5e9, "5.0 GB")])
def test_sizes_are_in_words(size: float, text: str) -> None:
    assert human_bytes(size) == text
