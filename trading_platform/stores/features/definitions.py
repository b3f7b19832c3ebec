"""The definitions that a process works with: the platform's own and those of a user's folder, each with its hash.

:func:`load_definitions` reads the files of the folder that the setting FEATURE_DEFINITIONS names. A file with an error
is left out with its error in words; the others, and the platform, work on.
"""

from __future__ import annotations

import ast
import hashlib
import json
import linecache
import stat
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

from trading_platform.domain.derived.indicators import computation_of
from trading_platform.domain.errors import ConfigurationError, InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import ENGINE_VERSION
from trading_platform.domain.features.declaration import Definition, Feature, Label
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.inputs import Input, InputKind
from trading_platform.domain.time import Timeframe
from trading_platform.stores.features.code_hash import computation_text

_OWN = frozenset(id(each) for each in BUILT_IN.features.values())
_MODULES = "feature_definitions"
_HASH_LENGTH = 16


@dataclass(frozen=True)
class DefinitionError:
    """Why a file, or one definition of it, is left out.

    Attributes:
        file: name of the file.
        line: number of the line; None if it is not known.
        reason: what is wrong, in words.
        name: the definition; None for the whole file.
    """

    file: str
    line: int | None
    reason: str
    name: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {f'{self.name}: ' if self.name else ''}{self.reason}"


@dataclass(frozen=True)
class Definitions:
    """The features and labels of a process.

    Attributes:
        features: the definitions that can be used.
        files: the file of each definition of a user, by its name.
        errors: the files and definitions that are left out.
        without_users: whether no folder of users' definitions is named here, so that those are unknown.
    """

    features: FeatureSet = BUILT_IN
    files: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[DefinitionError] = ()
    without_users: bool = False

    @cached_property
    def hashes(self) -> dict[str, str]:
        """For each feature and label, what identifies its values: its computation, its parameters and its inputs."""
        found: dict[str, str] = {}
        for name in self.features.in_order(self.features.names):
            found[name] = _hash(self.features.features[name], self.features, found)
        for label in self.features.labels.values():
            found[label.name] = _hash(label, self.features, found)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the definition of any feature, its hash or its name."""
        named = sorted((name, self.hashes[name]) for name in self.features.names)
        return hashlib.sha256(repr(named).encode()).hexdigest()[:_HASH_LENGTH]

    def of(self, frequency: Timeframe) -> Definitions:
        """Those of daily or hourly rows, and the labels; hourly rows have all."""
        features = self.features.of(frequency)
        return self if features is self.features else replace(self, features=features)

    def lost(self, file: str | None) -> bool:
        """Whether the definitions of a user's file are unknown here: it has an error, or no folder is named."""
        return file is not None and (self.without_users or any(error.file == file for error in self.errors))


BUILT_IN_DEFINITIONS = Definitions(without_users=True)
"""The platform's own. A process that has no others leaves what it finds of users' features as it is."""


def load_definitions(folder: Path | None) -> Definitions:
    """The platform's definitions and those of the files in a folder, in the order of the files' names.

    A file is Python code, which runs with the rights of this process. Files with a name that begins with ``_`` or
    ``.``, and other than ``*.py``, are not read.

    Raises:
        ConfigurationError: if the folder is not there.
    """
    return BUILT_IN_DEFINITIONS if folder is None else load_files(files_of(folder))


def files_of(folder: Path | None) -> list[Path]:
    """The files of definitions in a folder, in the order of their names.

    Raises:
        ConfigurationError: if the folder is not there.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise ConfigurationError(
            "The folder of definitions of features cannot be read.",
            expected="a folder with a file *.py for some features, which FEATURE_DEFINITIONS names",
            received=str(folder),
            remedy="make the folder, or correct FEATURE_DEFINITIONS",
        )
    return [file for file in sorted(folder.glob("*.py")) if not file.name.startswith(("_", "."))]


def load_files(files: Sequence[Path]) -> Definitions:
    """The platform's definitions and those of some files; see :func:`load_definitions`."""
    errors: list[DefinitionError] = []
    waiting: list[tuple[_File, Definition]] = []
    for path in files:
        try:
            file = _File.run(path)
        except _Unusable as unusable:
            errors.append(DefinitionError(path.name, unusable.line, unusable.reason))
            continue
        waiting += [(file, each) for each in file.definitions()]
        if not file.definitions():
            errors.append(DefinitionError(path.name, None, "it defines no Feature and no Label on its first level"))
    return _fitted(waiting, errors)


def _fitted(waiting: Sequence[tuple[_File, Definition]], errors: list[DefinitionError]) -> Definitions:
    """The definitions that fit together, whatever their order; the others become errors."""
    order = {id(each): number for number, (_, each) in enumerate(waiting)}
    accepted: list[tuple[_File, Definition]] = []
    left = list(waiting)
    reasons: dict[int, InvalidRequest] = {}
    while left:
        still: list[tuple[_File, Definition]] = []
        for file, each in left:
            try:
                _check_alone(each)
                _set_of([*accepted, (file, each)])
            except InvalidRequest as error:
                reasons[id(each)] = error
                still.append((file, each))
            else:
                accepted.append((file, each))
        if len(still) == len(left):
            break
        left = still
    for file, each in left:
        errors.append(DefinitionError(file.path.name, file.line_of(each.name), _in_words(reasons[id(each)]), each.name))
    accepted.sort(key=lambda pair: order[id(pair[1])])
    return Definitions(_set_of(accepted), {each.name: file.path.name for file, each in accepted}, tuple(errors))


def _set_of(accepted: Sequence[tuple[_File, Definition]]) -> FeatureSet:
    return FeatureSet([*BUILT_IN.features.values(), *BUILT_IN.labels.values(), *(each for _, each in accepted)])


def _check_alone(each: Definition) -> None:
    """Rejects a definition whose computation has no hash."""
    if each.compute is not None:
        computation_text(each.compute)


class _Unusable(Exception):
    """A file that cannot be used."""

    def __init__(self, line: int | None, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True)
class _File:
    """A file of definitions that has run."""

    path: Path
    text: str
    module: ModuleType

    @classmethod
    def run(cls, path: Path) -> _File:
        """Runs a file as a module of its own; nothing is written beside it.

        Raises:
            _Unusable: if it cannot be read, is no Python code or raises an error.
        """
        try:
            if path.stat().st_mode & stat.S_IWOTH:
                raise _Unusable(None, "every user of this machine can change it, and its code runs: chmod o-w it")
            text = path.read_text(encoding="utf-8")
            code = compile(text, str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            raise _Unusable(error.lineno, f"no Python code: {error.msg}") from None
        except (OSError, ValueError) as error:
            raise _Unusable(None, f"it cannot be read: {error}") from None
        # The text that ran is kept, so that hashes are of it even when the file has changed since.
        linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
        module = ModuleType(f"{_MODULES}.{path.stem}")
        module.__file__ = str(path)
        sys.modules[module.__name__] = module  # dataclasses and inspect look a class's module up
        try:
            with redirect_stdout(sys.stderr):  # what it prints is no part of a command's answer
                exec(code, module.__dict__)  # noqa: S102 - the user's own code, from a folder that the user names
        except InvalidRequest as error:
            raise _Unusable(_line(error, path), _in_words(error)) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a file raises, the others are read
            words = (str(error).splitlines() or [""])[0]
            raise _Unusable(_line(error, path), f"{type(error).__name__}: {words}") from None
        return cls(path, text, module)

    def definitions(self) -> list[Definition]:
        """The features and labels on the file's first level, also in lists, in order."""
        found: dict[int, Definition] = {}
        for name, value in vars(self.module).items():
            listed = value if isinstance(value, list | tuple) else [value]
            for each in listed if not name.startswith("__") else ():
                if isinstance(each, Feature | Label) and id(each) not in _OWN:
                    found[id(each)] = each
        return list(found.values())

    def line_of(self, name: str) -> int | None:
        """The line of the call that defines a name; None if the name is not written out."""
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.Call):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                if any(isinstance(value, ast.Constant) and value.value == name for value in given):
                    return node.lineno
        return None


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of a file that an error went through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _in_words(error: InvalidRequest) -> str:
    parts = [error.message, error.expected and f"Expected: {error.expected}."]
    parts.append(error.received and f"Received: {error.received}.")
    return " ".join(part for part in parts if part)


def _hash(each: Definition, features: FeatureSet, known: Mapping[str, str]) -> str:
    """The hash of a definition; those of the features that it is computed from are known."""
    parameters: dict[str, object] = {
        "engine": ENGINE_VERSION,
        "kind": each.kind,
        "version": each.version,
        "data_type": each.data_type,
        "unit": each.unit,
        "gaps": each.gaps,
        "history": [each.lookback_days, each.warm_up] if isinstance(each, Feature) else None,
        "horizon": each.horizon if isinstance(each, Label) else None,
        "inputs": [_input(declared, features, known) for declared in each.inputs],
        "compute": None if each.compute is None else computation_text(each.compute),
    }
    if each.frequency != "1d":  # those of days have the hash that they had before there were others
        parameters["frequency"] = each.frequency
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:_HASH_LENGTH]


def _input(declared: Input, features: FeatureSet, known: Mapping[str, str]) -> list[str]:
    """An input with the definitions of what it names."""
    named = [declared.kind.value, declared.timeframe.value]
    for name in declared.names:
        named.append(name)
        if declared.kind is InputKind.INDICATOR:
            named.append(computation_text(computation_of(name)))
        elif name in features.features and declared.kind is not InputKind.NEWS:
            named.append(known.get(name) or _hash(features.features[name], features, known))
    return named
