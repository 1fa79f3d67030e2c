from __future__ import annotations

import json
import time

import pytest

from oci_builder.bounded import DEPTH, load_json, load_toml, parse_decimal


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("0755", 755), ("9223372036854775807", (1 << 63) - 1)])
def test_a_number_in_digits_is_read(text: str, number: int) -> None:
    assert parse_decimal(text) == number


@pytest.mark.parametrize("text", ["", "²", "٣", "-1", "+1", " 1", "1_0", "1e3", "9" * 5000, "9223372036854775808"])
def test_what_int_or_isdigit_would_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"whole number|more than"):
        parse_decimal(text)


def test_a_number_has_a_limit() -> None:
    assert parse_decimal("65535", most=65535) == 65535
    with pytest.raises(ValueError, match="more than 65535"):
        parse_decimal("65536", most=65535)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "9" * 5000, '"\\ud800"', '{"\\udfff": 1}']
)
def test_json_that_could_not_be_written_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|surrogate"):
        load_json(text)


def test_a_pair_of_surrogates_is_one_letter() -> None:
    assert load_json('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("levels", [DEPTH + 1, 900, 100_000])
def test_deep_json_is_refused_however_deep(levels: int) -> None:
    for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
        with pytest.raises(ValueError, match="levels deep"):
            load_json(text)


def test_json_as_deep_as_the_limit_is_read() -> None:
    text = "[" * DEPTH + "]" * DEPTH
    assert json.dumps(load_json(text)) == text


def test_a_key_that_occurs_twice_is_refused_where_it_matters() -> None:
    assert load_json('{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(ValueError, match="twice"):
        load_json('{"a": 1, "a": 2}', unique=True)


@pytest.mark.parametrize("levels", [DEPTH + 1, 3000])
def test_deep_toml_is_refused(levels: int) -> None:
    with pytest.raises(ValueError, match="levels deep"):
        load_toml(f"a = {'[' * levels}{']' * levels}")


@pytest.mark.parametrize("part", ["a", '"a"', "'a.b'", " a\t"])
def test_a_dotted_key_of_a_megabyte_takes_no_time(part: str) -> None:
    begun = time.process_time()
    for text in (".".join([part] * 200_000) + " = 1", f"[{'.'.join([part] * 200_000)}]"):
        with pytest.raises(ValueError, match="dotted key"):
            load_toml(text)
    assert time.process_time() - begun < 2


def test_numbers_and_sentences_with_dots_are_no_dotted_keys() -> None:
    many = ", ".join(["1.5"] * 500)
    assert load_toml(f'a = [{many}]\nb = "{"one. " * 60}"\n["a.b".c]\nd = 1.5\n')["a.b"] == {"c": {"d": 1.5}}


def test_toml_that_json_could_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        load_toml("a = inf")
