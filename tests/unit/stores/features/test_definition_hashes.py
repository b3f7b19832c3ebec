"""The hash of a definition: the same everywhere, another after any change of what it computes, and of nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from definition_files import declared, write

from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, load_files

FUNCTION = (
    '''
import numpy as np
from dataclasses import dataclass

SPAN = 5
WEIGHTS = [0.5, 0.3, 0.2]
NAMES = {"b", "a"}

@dataclass
class Step:
    """A step."""
    size: int = 1

def halved(values):
    """Half of it."""
    return values / 2  # half

def scaled(factor):
    def inner(inputs):
        return inputs.frame["close"].shift(Step().size) / inputs.frame["close"] * factor * np.sqrt(SPAN) * WEIGHTS[0]
    return inner

def mine(inputs):
    """Its docstring."""
    close = inputs.frame["close"]
    return halved(close.rolling_mean(SPAN)) / close * len(NAMES)

by_two = scaled(2)
'''
    + declared("first", "mine", warm_up=10)
    + declared("second", "by_two", warm_up=10)
    + declared("third", 'pl.col("first").abs()', 'feature("first")', warm_up=10)
    + declared("fourth", 'pl.col("close") / pl.col("close").shift(2)', warm_up=10)
)

NAMES = ("first", "second", "third", "fourth")


def hashes(folder: Path, text: str) -> tuple[str, ...]:
    definitions = load_files([write(folder, "mine.py", text)])
    assert not definitions.errors, definitions.errors
    return tuple(definitions.hashes[name] for name in NAMES)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("# half", "# a half", ""),
        ('"""Its docstring."""', '"""Another docstring."""', ""),
        ("    close = inputs", "\n    close   =   inputs", ""),
        ("def mine(inputs):", "def mine(inputs: object) -> object:", ""),
        ("values / 2", "values / 3", "first third"),
        ("SPAN = 5", "SPAN = 6", "first second third"),
        ("WEIGHTS = [0.5", "WEIGHTS = [0.6", "second"),
        ('NAMES = {"b"', 'NAMES = {"c"', "first third"),
        ('NAMES = {"b", "a"}', 'NAMES = {"a", "b"}', ""),
        ("scaled(2)", "scaled(3)", "second"),
        ("size: int = 1", "size: int = 2", "second"),
        ("rolling_mean", "rolling_max", "first third"),
        (".abs()", ".sign()", "third"),
        ("shift(2)", "shift(3)", "fourth"),
        ('warm_up=10, compute=pl.col("close")', 'warm_up=11, compute=pl.col("close")', "fourth"),
        ("compute=mine", 'compute=mine, unit="price"', "first third"),
        ("compute=mine", "compute=mine, version=2", "first third"),
        ("compute=mine", 'compute=mine, gaps="span"', "first third"),
        ('description="D"', 'description="Another"', ""),
    ],
)
def test_a_change_of_what_is_computed_changes_the_hash_of_what_depends_on_it(
    tmp_path: Path, before: str, after: str, changed: str
) -> None:
    assert before in FUNCTION
    text = FUNCTION.replace(before, after)
    first, then = hashes(tmp_path / "a", FUNCTION), hashes(tmp_path / "b", text)
    assert [name for name, one, other in zip(NAMES, first, then, strict=True) if one != other] == changed.split()


@pytest.mark.exhaustive
def test_the_hash_is_the_same_in_every_process_and_folder(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom trading_platform.stores.features.definitions import load_files\n"
        "found = load_files([Path(sys.argv[1])])\nprint(sorted(found.hashes.items()))\n"
    )
    said = set()
    for number, name in enumerate(("a", "b/deep", "c")):
        file = write(tmp_path / name, f"mine{number}.py", FUNCTION)
        done = subprocess.run(
            [sys.executable, "-c", script, str(file)],
            env={"PYTHONHASHSEED": str(number), "POLARS_MAX_THREADS": str(number + 1)},
            capture_output=True,
            text=True,
            check=True,
        )
        said.add(done.stdout)
    assert len(said) == 1
    assert BUILT_IN_DEFINITIONS.hashes["rsi_14"] in said.pop()


def test_every_feature_of_the_platform_has_a_hash_of_its_own() -> None:
    assert len(set(BUILT_IN_DEFINITIONS.hashes.values())) == len(BUILT_IN_DEFINITIONS.features.names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import random\nGENERATOR = random.Random(1)\n", "uses GENERATOR, whose content cannot be known"),
        ("GENERATOR = object()\n", "received: a object"),
        ("GENERATOR = open('/dev/null')\n", "a TextIOWrapper"),
    ],
)
def test_what_cannot_be_hashed_is_refused(tmp_path: Path, text: str, said: str) -> None:
    text += "def mine(inputs):\n    return inputs.frame['close'] * (GENERATOR is None)\n" + declared("mine", "mine")
    definitions = load_files([write(tmp_path, "mine.py", text)])
    assert definitions.features.names == BUILT_IN_DEFINITIONS.features.names
    (error,) = definitions.errors
    assert said.lower() in str(error).lower()
