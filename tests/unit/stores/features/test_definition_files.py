"""The files of a user's own definitions: what is wrong in one is said with its line, and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from definition_files import GAP, HEAD, declared, label, write

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, load_definitions

GOOD = f"good = {GAP}\n"
LINES = HEAD.count("\n")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = 1\nthis seems wrong\n", 2, "no Python code: invalid syntax"),
        ("x = 1\n\ny = 1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("import no_such_library\n", 1, "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def f():\n    raise ValueError('no')\n\nf()\n", 2, "ValueError: no"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("\n" + declared("Bad", 'pl.col("close")'), 2, "A feature cannot have this name."),
        ("a = 1\n" + declared("bad", 'pl.col("open")'), 2, "declared columns only: close"),
        (declared("bad", "lambda inputs: 1"), 1, "defined with def"),
        (declared("bad", 'pl.col("rsi_15")', 'indicator("rsi_15")'), 1, "There is no indicator 'rsi_15'"),
        (declared("bad", 'pl.col("rsi_15")', 'feature("rsi_15")'), 1, "needs the feature rsi_15"),
        ("\n\n" + declared("rsi_14", 'pl.col("close")'), 3, "rsi_14 is defined more than once"),
        (declared("overnight_gap", 'pl.col("close")'), 1, "overnight_gap is defined more than once"),
        ("x = 1\n", None, "it defines no Feature and no Label"),
        ("Feature(\n", 1, "was never closed"),
        ("raise MemoryError\n", 1, "MemoryError"),
        ("def f():\n    f()\nf()\n", 2, "RecursionError"),
        ("x = '\\ud800'\nraise ValueError(x)\n", 2, "ValueError"),
    ],
)
def test_an_error_is_said_with_its_line_and_stops_no_other(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    write(tmp_path, "b_bad.py", text)
    write(tmp_path, "a_good.py", GOOD)
    write(tmp_path, "c_good.py", declared("later", 'pl.col("close") / pl.col("close").shift(1)'))
    found = load_definitions(tmp_path)
    assert found.features.names == (*BUILT_IN.names, "overnight_gap", "later")
    (error,) = found.errors
    assert said in error.reason
    assert (error.file, error.line) == ("b_bad.py", None if line is None else line + LINES)
    assert str(error).startswith("b_bad.py")


def test_bytes_that_are_no_text_and_a_file_that_others_can_change(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.py").write_bytes(b"x = '\x00'")
    write(tmp_path, "c.py", GOOD).chmod(0o666)
    (tmp_path / "d.py").mkdir()
    found = load_definitions(tmp_path)
    reasons = {error.file: error.reason for error in found.errors}
    assert "cannot be read" in reasons["a.py"]
    assert "no Python code" in reasons["b.py"] or "cannot be read" in reasons["b.py"]
    assert "chmod o-w" in reasons["c.py"]
    assert "cannot be read" in reasons["d.py"]
    assert found.features.names == BUILT_IN.names


def test_definitions_need_each_other_across_files_in_any_order(tmp_path: Path) -> None:
    write(tmp_path, "a.py", declared("third", 'pl.col("second")', 'feature("second")'))
    write(tmp_path, "b.py", declared("second", 'pl.col("first")', 'feature("first")'))
    write(tmp_path, "c.py", declared("first", 'pl.col("close") / pl.col("close").shift(1)'))
    found = load_definitions(tmp_path)
    assert not found.errors
    assert found.features.names == (*BUILT_IN.names, "third", "second", "first")
    assert found.features.in_order(["third"]) == ("first", "second", "third")


def test_what_needs_a_left_out_definition_is_left_out_too(tmp_path: Path) -> None:
    write(tmp_path, "a.py", declared("second", 'pl.col("first")', 'feature("first")'))
    write(tmp_path, "b.py", "wrong wrong\n" + declared("first", 'pl.col("close")'))
    found = load_definitions(tmp_path)
    assert [(error.file, error.name) for error in found.errors] == [("b.py", None), ("a.py", "second")]


def test_a_circle_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        declared("one", 'pl.col("two")', 'feature("two")') + declared("two", 'pl.col("one")', 'feature("one")'),
    )
    assert {error.name for error in load_definitions(tmp_path).errors} == {"one", "two"}


def test_what_is_found_in_a_file(tmp_path: Path) -> None:
    """Definitions on the first level, in lists too, each once; imports of the platform's own are not a user's."""
    write(
        tmp_path,
        "a.py",
        "from trading_platform.domain.features.built_in import BUILT_IN\nown = list(BUILT_IN.features.values())\n"
        "def make(n):\n    return Feature(name=f'momentum_{n}', category='x', description='D', formula='F', "
        "inputs=[bars('close')], lookback_days=n, warm_up=n, compute=pl.col('close') / pl.col('close').shift(n))\n"
        "several = [make(n) for n in (3, 7)]\nagain = several[0]\n" + label("ahead", 5, 'pl.col("close").shift(-5)'),
    )
    write(tmp_path, "_private.py", "wrong wrong")
    write(tmp_path, ".hidden.py", "wrong wrong")
    write(tmp_path, "notes.txt", "wrong wrong")
    found = load_definitions(tmp_path)
    assert not found.errors
    assert set(found.files) == {"momentum_3", "momentum_7", "ahead"}
    assert list(found.features.labels) == ["ahead"]
    assert not list(tmp_path.glob("__pycache__"))


def test_no_folder_means_the_platforms_own_and_a_missing_one_is_said(tmp_path: Path) -> None:
    assert load_definitions(None) is BUILT_IN_DEFINITIONS
    tmp_path.joinpath("empty").mkdir()
    empty = load_definitions(tmp_path / "empty")
    assert empty.features.names == BUILT_IN.names
    assert (empty.without_users, BUILT_IN_DEFINITIONS.without_users) == (False, True)
    with pytest.raises(ConfigurationError, match="FEATURE_DEFINITIONS"):
        load_definitions(tmp_path / "absent")
