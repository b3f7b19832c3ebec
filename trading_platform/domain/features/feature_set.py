"""A set of definitions that fit together: each input is there, no circle, no label among the inputs of a feature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property

import polars as pl

from trading_platform.domain.derived.indicators import INDICATORS
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.declaration import DATA_TYPES, Definition, Feature, Label
from trading_platform.domain.features.inputs import OF_OTHERS, InputKind
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import Timeframe

KEYS: dict[str, pl.DataType] = {"time": TIME, "symbol": pl.String(), "available_at": TIME}
"""The columns in front of the features: the bar's open, its symbol, and from when the row may be used."""

_OF_FEATURES = (InputKind.FEATURE, InputKind.PEERS, InputKind.BENCHMARK)


class FeatureSet:
    """Some features and labels, each by its name, in the order of their columns.

    Args:
        definitions: the features and labels; each after or before those that it is computed from.

    Raises:
        InvalidRequest: if a name is there twice, an input is missing or a label, or definitions need each other.
    """

    def __init__(self, definitions: Iterable[Definition]) -> None:
        listed = tuple(definitions)
        self.features: dict[str, Feature] = {each.name: each for each in listed if isinstance(each, Feature)}
        self.labels: dict[str, Label] = {each.name: each for each in listed if isinstance(each, Label)}
        twice = sorted({each.name for each in listed if sum(other.name == each.name for other in listed) > 1})
        if twice:
            raise InvalidRequest(
                f"{twice[0]} is defined more than once.",
                expected="one definition for each name",
                received=", ".join(twice),
                remedy="give one of them another name",
            )
        for each in listed:
            self._check(each)

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in the order of their columns."""
        return tuple(self.features)

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of a frame of all features; one row per daily bar, NULL where a value is not defined."""
        return {**KEYS, **{name: DATA_TYPES[each.data_type] for name, each in self.features.items()}}

    @cached_property
    def daily(self) -> FeatureSet:
        """The features of daily rows, and the labels: without those that are computed from hourly bars."""
        hourly = [each.name for each in self.features.values() if each.is_hourly]
        if not hourly:
            return self
        others = [each for each in self.features.values() if not each.is_hourly]
        return FeatureSet([*others, *self.labels.values()])

    def of(self, frequency: Timeframe) -> FeatureSet:
        """The features that daily or hourly rows have; hourly rows have all."""
        return self if frequency is Timeframe.H1 else self.daily

    @cached_property
    def warm_up(self) -> int:
        """Number of daily bars that a partition must load before its first one, of the symbol and of all it needs."""
        return max((each.warm_up for each in self.features.values() if not each.is_hourly), default=0)

    @cached_property
    def warm_up_hours(self) -> int:
        """Number of hourly bars that a partition of hourly rows must load before its first one."""
        return max((each.hours(each.warm_up) for each in self.features.values()), default=0)

    @cached_property
    def of_others(self) -> tuple[str, ...]:
        """The features that are needed of peers and benchmarks."""
        return self.in_order(
            [name for each in self.features.values() for name in each.names_of(*OF_OTHERS)],
        )

    @cached_property
    def looks_back_at_news(self) -> bool:
        """Whether a feature is computed from news of earlier rows or of other symbols; else each row has its own."""
        of_news = {name for name, each in self.features.items() if each.names_of(InputKind.NEWS) and not each.awaits}
        return any(
            of_news & set(each.names_of(*OF_OTHERS))
            or (each.warm_up > 0 and of_news & {each.name, *each.names_of(InputKind.FEATURE)})
            for each in self.features.values()
        )

    def in_order(self, names: Sequence[str]) -> tuple[str, ...]:
        """Some features and all that they are computed from, each after those."""
        ordered: dict[str, None] = {}

        def add(name: str) -> None:
            if name not in ordered:
                for needed in self.features[name].names_of(InputKind.FEATURE):
                    add(needed)
                ordered[name] = None

        for name in names:
            add(name)
        return tuple(ordered)

    def needed_by(self, name: str) -> tuple[str, ...]:
        """The features and labels that are computed from a feature, in order."""
        others: tuple[Definition, ...] = (*self.features.values(), *self.labels.values())
        return tuple(each.name for each in others if name in each.names_of(*_OF_FEATURES))

    def known(self, names: Sequence[str] | None) -> list[str]:
        """The features of these names, each once; all for None.

        Raises:
            InvalidRequest: if one of them is unknown, or a label.
        """
        unknown = [name for name in names or () if name not in self.features]
        if unknown and unknown[0] in self.labels:
            raise label_is_no_feature(unknown[0], self.labels[unknown[0]].horizon)
        if unknown:
            near = get_close_matches(unknown[0], self.names, n=3)
            raise InvalidRequest(
                f"There is no feature {unknown[0]!r}.",
                expected=f"some of {', '.join(self.names)}",
                received=", ".join(unknown),
                remedy=f"did you mean {', '.join(near)}?" if near else "choose among the listed features",
            )
        return list(self.names) if names is None else list(dict.fromkeys(names))

    def _check(self, each: Definition) -> None:
        for name in each.names_of(*_OF_FEATURES):
            if name in self.labels:
                raise _refused(
                    each,
                    f"It is computed from the label {name}, which looks {self.labels[name].horizon} bars ahead.",
                    "compute it from features, indicators and bars",
                )
            if name not in self.features:
                raise _refused(
                    each,
                    f"It needs the feature {name}, which is not defined.",
                    f"define {name}, or choose among {', '.join(self.features)}",
                )
        self._check_frequency(each)
        if isinstance(each, Feature):
            self._check_circles(each)
            self._check_warm_up(each)
        self._check_others(each)

    def _check_frequency(self, each: Definition) -> None:
        hourly = [name for name in each.names_of(*_OF_FEATURES) if self.features[name].is_hourly]
        if hourly and each.frequency != "1h":
            raise _refused(
                each,
                f"It needs {hourly[0]}, which is computed from hourly bars and has no daily value.",
                'declare it with frequency="1h", or compute it from daily bars'
                if isinstance(each, Feature)
                else "compute it from daily bars",
            )

    def _check_circles(self, each: Feature) -> None:
        ahead, seen = [each.name], set()
        while ahead:
            for name in self.features[ahead.pop()].names_of(InputKind.FEATURE):
                if name == each.name:
                    raise _refused(each, "It is computed from itself.", "break the circle of definitions")
                if name not in seen and name in self.features:
                    seen.add(name)
                    ahead.append(name)

    def _check_warm_up(self, each: Feature) -> None:
        needs = {name: self._warm_up_for(each, name) for name in each.names_of(*_OF_FEATURES)}
        needs |= {name: INDICATORS[name].first_row for name in each.names_of(InputKind.INDICATOR)}
        longest = max(needs, key=lambda name: needs[name], default=None)
        if longest is not None and each.warm_up < needs[longest]:
            raise _refused(
                each,
                f"Its warm-up of {each.warm_up} bars is shorter than the {needs[longest]} of {longest}.",
                f"declare a warm-up of at least {needs[longest]} bars",
            )

    def _warm_up_for(self, each: Feature, name: str) -> int:
        """The warm-up of another feature, in the bars of this one."""
        needed = self.features[name]
        return needed.hours(needed.warm_up) if each.is_hourly else needed.warm_up

    def _check_others(self, each: Definition) -> None:
        for name in each.names_of(*OF_OTHERS):
            own_bars = all(
                not self.features[other].names_of(*OF_OTHERS)
                for other in self.in_order([name])
                if other in self.features
            )
            if not own_bars or self.features[name].unit != "none" or self.features[name].data_type == "boolean":
                raise _refused(
                    each,
                    f"{name} cannot be compared between symbols: it is in units of price or volume, a truth value, "
                    "or computed from other symbols itself.",
                    "use a numeric feature without a unit that is computed from the bars of its own symbol",
                )


def label_is_no_feature(name: str, horizon: int) -> InvalidRequest:
    """The error for a label that is asked for as a feature."""
    return InvalidRequest(
        f"{name} is a label: it looks {horizon} bars ahead, and no feature may.",
        expected="the name of a feature",
        received=name,
        remedy="leave it out of the features; it is what a model shall predict",
    )


def _refused(each: Definition, reason: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(
        f"The {each.kind} {each.name} cannot be computed. {reason}",
        expected="inputs that are defined, and that are known when the bar closes",
        received=", ".join(each.dependencies),
        remedy=remedy,
    )
