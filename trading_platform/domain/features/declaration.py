"""A feature as data: its name, what it is computed from, and how; and a label, which looks forward on purpose.

Everything else that is known of a feature comes from its one declaration: the values
(:mod:`trading_platform.domain.features.compute`), the columns of the files, the catalog and the table in
docs/features.md. The platform's own are in :mod:`trading_platform.domain.features.built_in`; a user's are in files of
their own (docs/own-features.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import polars as pl

from trading_platform.domain.derived.smoothing import Floats
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.inputs import BAR_COLUMNS, NEWS_MEASURES, FeatureInputs, Input, InputKind
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe

Function = Callable[[FeatureInputs], pl.Series | Floats]
"""Computes the values of a definition: one for each row of ``inputs.frame``."""

DataType = Literal["float64", "int64", "boolean"]
Unit = Literal["none", "price", "volume"]
GapRule = Literal["break", "bridge", "span"]
Frequency = Literal["1d", "1h"]

DATA_TYPES: dict[str, pl.DataType] = {"float64": pl.Float64(), "int64": pl.Int64(), "boolean": pl.Boolean()}

LONGEST_HISTORY = 5_000
"""Daily bars before a partition that a definition may need: twenty years."""

HOURS_OF_DAY = 24

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_RESERVED = frozenset({"time", "symbol", "timeframe", "available_at", "recorded_at", "position", *BAR_COLUMNS})
_LONGEST_CATEGORY = 30
_AFTER_CLOSE = "close of the bar"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What features and labels have in common.

    Attributes:
        name: its column: lower case, digits and underscores, at most 50 characters.
        description: its meaning, one sentence.
        formula: its formula, for people; t is the bar, t-n the bar n bars before.
        inputs: what it is computed from.
        compute: a Polars expression over the columns of the inputs, or a named function of
            :class:`~trading_platform.domain.features.inputs.FeatureInputs`; one value for each row.
        version: number of the definition, for people; a changed one is recognised by its hash as well.
        data_type: type of its values; NULL where it is not defined, never NaN.
        unit: ``price`` or ``volume`` for values that scale with them, which are given in shares of the row's date;
            ``none`` for all others, which must not depend on the scale.
        gaps: where expected bars lack, ``break`` begins again after any gap, ``bridge`` only after one of more than
            five bars; ``span`` sees all rows, and how many lack by ``position``.
    """

    name: str
    description: str
    formula: str
    inputs: tuple[Input, ...]
    compute: pl.Expr | Function | None = field(compare=False)
    version: int = 1
    data_type: DataType = "float64"
    unit: Unit = "none"
    gaps: GapRule = "break"

    kind: ClassVar[str] = "definition"
    frequency: Frequency = field(init=False, default="1d")

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs) if isinstance(self.inputs, list) else self.inputs)
        self._check_name()
        for what, value in (("description", self.description), ("formula", self.formula)):
            self._require(isinstance(value, str) and bool(value.strip()), f"a {what}, one sentence", value)
        self._require(_is_count(self.version, 1), "a version that is a whole number from 1 on", self.version)
        for what, value, known in (
            ("data_type", self.data_type, get_args(DataType)),
            ("unit", self.unit, get_args(Unit)),
            ("gaps", self.gaps, get_args(GapRule)),
        ):
            self._require(value in known, f"{what} to be one of {', '.join(known)}", value)
        self._check_inputs()
        self._check_computation()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that its computation receives."""
        return tuple(name for each in self.inputs for name in each.columns)

    @property
    def dependencies(self) -> tuple[str, ...]:
        """What it is computed from, each with its kind: ``bars.close``, ``feature.returns_1d``."""
        return tuple(name for each in self.inputs for name in each.dependencies)

    def names_of(self, *kinds: InputKind) -> tuple[str, ...]:
        """The names of the inputs of some kinds."""
        return tuple(name for each in self.inputs if each.kind in kinds for name in each.names)

    def _check_name(self) -> None:
        valid = isinstance(self.name, str) and bool(_NAME.fullmatch(self.name)) and self.name not in _RESERVED
        if not valid:
            raise InvalidRequest(
                f"A {self.kind} cannot have this name.",
                expected="lower-case letters, digits and underscores, a letter first, at most 50; "
                f"none of {', '.join(sorted(_RESERVED))}",
                received=shown(self.name),
                remedy="choose another name",
            )

    def _check_inputs(self) -> None:
        listed = isinstance(self.inputs, tuple) and all(isinstance(each, Input) for each in self.inputs)
        self._require(
            listed and bool(self.inputs), "inputs to be a list of bars(…), indicator(…), feature(…) …", self.inputs
        )
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        self._require(not twice, "each column to be declared once", ", ".join(twice))
        own = Timeframe(self.frequency)
        other = [name for each in self.inputs if each.is_of_bars and each.timeframe is not own for name in each.names]
        self._require(
            not other,
            f'bars and indicators of the timeframe {own}, as its frequency is {own} (frequency="1h" for hourly bars)',
            ", ".join(other),
        )

    def _check_computation(self) -> None:
        is_function = callable(self.compute) and not isinstance(self.compute, pl.Expr)
        named = is_function and getattr(self.compute, "__name__", "<lambda>") != "<lambda>"
        self._require(
            isinstance(self.compute, pl.Expr) or named,
            "compute to be a Polars expression or a function that was defined with def and a name",
            "a lambda" if is_function else self.compute,
        )
        if isinstance(self.compute, pl.Expr):
            self._require(
                not self.names_of(InputKind.NEWS),
                "a function to compute with news, which are not aligned with bars (FeatureInputs.news)",
                "an expression",
            )
            self._require(
                "python_udf" not in str(self.compute),
                "an expression without Python code in it (map_elements, map_batches)",
                str(self.compute),
            )
            unknown = sorted(set(self.compute.meta.root_names()) - {*self.columns, "time", "position"})
            self._require(
                not unknown,
                f"the expression to use declared columns only: {', '.join(self.columns)}",
                ", ".join(unknown),
            )

    def _require(self, holds: object, expected: str, received: object) -> None:
        if not holds:
            raise InvalidRequest(
                f"The {self.kind} {self.name} is not declared correctly.",
                expected=expected,
                received=received if isinstance(received, str) else shown(received),
                remedy=f"correct the declaration of {self.name}",
            )


@dataclass(frozen=True, kw_only=True)
class Feature(Definition):
    """A value of each bar that could be known when the bar had closed.

    A feature of the frequency ``1d`` is computed from bars of a day: a row for each session, and for instruments that
    trade round the clock also a row for each hour, of the days of 24 hours that end with it. One of the frequency
    ``1h`` is computed from hourly bars and has values in hourly rows only
    (:mod:`trading_platform.domain.features.hourly`).

    Attributes:
        category: ``technical``, ``cross-sectional``, ``sentiment``, or any other of at most 30 characters.
        lookback_days: window of the formula, in trading days, as the catalog lists it.
        warm_up: number of bars before the first one that a partition must load for it, those that its inputs need
            included.
        frequency: ``1d``, or ``1h`` for a feature of hourly bars.
        first_row: number of rows of a new series before its first value; None means as many as ``warm_up``.
        awaits: why all its values are NULL for now, such as a source that is not connected; None if they are computed.
    """

    category: str
    lookback_days: int
    warm_up: int
    first_row: int | None = None
    awaits: str | None = None
    frequency: Frequency = "1d"

    kind: ClassVar[str] = "feature"
    availability: ClassVar[str] = _AFTER_CLOSE

    def __post_init__(self) -> None:
        self._require(
            self.frequency in get_args(Frequency),
            f"frequency to be one of {', '.join(get_args(Frequency))}",
            self.frequency,
        )
        super().__post_init__()
        category = self.category
        fits = isinstance(category, str) and 0 < len(category.strip()) <= _LONGEST_CATEGORY
        self._require(fits, f"a category of at most {_LONGEST_CATEGORY} characters", category)
        for what, most in (("lookback_days", LONGEST_HISTORY), ("warm_up", LONGEST_HISTORY * self._bars_of_day)):
            value = getattr(self, what)
            self._require(_is_count(value, 0) and value <= most, f"{what} from 0 to {most:,}", value)
        self._require(
            self.first_row is None or _is_count(self.first_row, 0), "first_row to be a number of rows", self.first_row
        )
        without_source = sorted(set(self.names_of(InputKind.NEWS)) - set(NEWS_MEASURES))
        self._require(
            not without_source or self.awaits is not None,
            f"measures of news among {', '.join(NEWS_MEASURES)}, or awaits to say that the others have no source yet",
            ", ".join(without_source),
        )

    @property
    def rows_before_first(self) -> int:
        """Number of rows of a new series before its first value."""
        return self.warm_up if self.first_row is None else self.first_row

    def rows_before_first_of(self, timeframe: Timeframe) -> int:
        """Number of daily or of hourly rows of a new series before its first value."""
        return self.hours(self.rows_before_first) if timeframe is Timeframe.H1 else self.rows_before_first

    @property
    def is_hourly(self) -> bool:
        """Whether it is computed from hourly bars, so that only hourly rows have it."""
        return self.frequency == "1h"

    def hours(self, days_or_hours: int) -> int:
        """A number of its bars before one, in hours before an hourly row: a day ends with the row's hour."""
        return days_or_hours if self.is_hourly else HOURS_OF_DAY * (days_or_hours + 1) - 1

    @property
    def _bars_of_day(self) -> int:
        return HOURS_OF_DAY if self.is_hourly else 1

    def _check_computation(self) -> None:
        if self.awaits is None or self.compute is not None:
            super()._check_computation()


@dataclass(frozen=True, kw_only=True)
class Label(Definition):
    """What a model shall predict: a value that looks forward on purpose, and is known only some bars later.

    It is no feature: it has no column in the feature files, and no feature may be computed from it.

    Attributes:
        horizon: number of bars after the row's own that it looks at; it is available when the last of them has closed.
    """

    horizon: int

    kind: ClassVar[str] = "label"
    category: ClassVar[str] = "label"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            _is_count(self.horizon, 1) and self.horizon <= LONGEST_HISTORY,
            f"a horizon from 1 to {LONGEST_HISTORY:,} bars; without one it is a feature",
            self.horizon,
        )
        others = self.names_of(InputKind.PEERS, InputKind.BENCHMARK, InputKind.NEWS)
        self._require(not others, "inputs of the symbol itself only", ", ".join(others))

    @property
    def availability(self) -> str:
        """From when it may be used."""
        return f"close of the bar {self.horizon} bars later"


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
