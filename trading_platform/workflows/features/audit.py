"""The point-in-time audit: recomputes a sample of the stored features from what could be known at each time.

The sample is drawn from the computed partitions (a symbol and a year); some of them have a split or a revised bar. All
rows of each are compared as of some times (:mod:`trading_platform.domain.features.audit.compare`).
:mod:`trading_platform.workflows.features.audit_parts` reads what they were computed from. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trading_platform.domain.features.audit.compare import AuditFinding, PartAudit, audit_part
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Window, year_window
from trading_platform.stores.stores import Stores
from trading_platform.workflows.derived.build_features import DATASET
from trading_platform.workflows.features.audit_parts import NotAudited, PartReader
from trading_platform.workflows.progress import Progress, silent

SAMPLES = 200
"""Number of times as of which features are recomputed by default."""

TIMES = 5
"""Number of times in each partition of the sample."""

_EVENTFUL = 0.5  # share of the partitions that have a split or a revision, where there are so many
_ATTEMPTS = 3  # a partition that is computed again during its audit is audited again


@dataclass(frozen=True)
class AuditReport:
    """What the audit compared and found.

    Attributes:
        seed: what the sample was drawn by; the same seed over the same store draws the same sample.
        partitions: number of partitions with rows that were compared.
        times: number of times as of which features were recomputed.
        values: number of stored values that were compared, counted again for each time.
        findings: the values that are not what could be known, by symbol and time.
        not_audited: number of partitions, or columns of them, that could not be compared, by reason.
    """

    seed: int
    partitions: int = 0
    times: int = 0
    values: int = 0
    findings: Sequence[AuditFinding] = ()
    not_audited: Mapping[str, int] = field(default_factory=dict)


def audit_features(
    stores: Stores,
    universe: Mapping[str, Instrument],
    *,
    clock: Clock,
    seed: int,
    symbols: Sequence[str] | None = None,
    partitions: Sequence[Window] | None = None,
    samples: int = SAMPLES,
    names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> AuditReport:
    """Audits a sample of the stored features.

    Args:
        stores: the stores; they are read only.
        universe: all instruments, by symbol.
        clock: source of the current time.
        seed: what the sample is drawn by.
        symbols: symbols to audit; None means all.
        partitions: years to audit; None means all.
        samples: number of times as of which features are recomputed.
        names: features to audit; None means all.
        progress: receives a report after each partition.

    Raises:
        InvalidRequest: if a feature is unknown.
    """
    wanted = stores.features.definitions.features.known(names)
    random = np.random.default_rng(seed)
    reader = PartReader(stores, universe, wanted, clock())
    chosen = _chosen(reader, universe, symbols, partitions, -(-samples // TIMES), random)
    reader.prepare(chosen)
    reasons: Counter[str] = Counter()
    if names is None and (unknown := stores.features.kept()):
        reasons["features whose definition is not known here"] = len(unknown)
    audits: list[PartAudit] = []
    left = samples
    for number, (symbol, window) in enumerate(chosen, 1):
        audit = _audit(reader, symbol, window, min(TIMES, left), random, reasons)
        if audit is not None:
            audits.append(audit)
            left -= audit.times
        progress("partitions audited", number, len(chosen))
    found = [finding for audit in audits for finding in audit.findings]
    return AuditReport(
        seed,
        len(audits),
        sum(audit.times for audit in audits),
        sum(audit.values for audit in audits),
        sorted(found, key=lambda each: (each.symbol, each.time, each.feature)),
        dict(reasons),
    )


def _audit(
    reader: PartReader,
    symbol: str,
    window: Window,
    times: int,
    random: np.random.Generator,
    reasons: Counter[str],
) -> PartAudit | None:
    """Audits a partition, again if it was computed meanwhile; None if it cannot be compared."""
    seed = int(random.integers(1 << 32))
    for _ in range(_ATTEMPTS):
        before = reader.state(symbol, window)
        audit = _compared(reader, symbol, window, times, seed)
        if isinstance(audit, NotAudited):
            reasons[audit.value] += 1
            return None
        if not audit.findings or reader.state(symbol, window) == before:
            return audit
        reader.prepare([(symbol, window)])
    reasons["computed again during the audit"] += 1
    return None


def _compared(reader: PartReader, symbol: str, window: Window, times: int, seed: int) -> PartAudit | NotAudited:
    """Compares a partition with the bars of its computation; where clocks may differ, with those near that time."""
    audits: list[PartAudit] = []
    for shift in reader.clock_shifts(symbol, window):
        part = reader.read(symbol, window, shift)
        if isinstance(part, NotAudited):
            if not audits:
                return part
            continue
        audits.append(audit_part(part, times, np.random.default_rng(seed)))
        if not audits[-1].findings:
            break
    return min(audits, key=lambda audit: len(audit.findings))


def _chosen(
    reader: PartReader,
    universe: Mapping[str, Instrument],
    symbols: Sequence[str] | None,
    partitions: Sequence[Window] | None,
    count: int,
    random: np.random.Generator,
) -> list[tuple[str, Window]]:
    """The partitions of the sample: some with a split or a revised bar, the others any."""
    computed = sorted(
        (symbol, year_window(start))
        for symbol, start in reader.stores.input_versions.read(DATASET, sorted(symbols or universe))
        if symbol in universe and (partitions is None or year_window(start) in partitions)
    )
    eventful = reader.eventful(sorted({symbol for symbol, _ in computed}))
    first = [part for part in computed if (part[0], part[1].start.year) in eventful]
    drawn = [first[int(row)] for row in random.permutation(len(first))[: int(_EVENTFUL * count)]]
    rest = sorted(set(computed) - set(drawn))
    drawn += [rest[int(row)] for row in random.permutation(len(rest))[: count - len(drawn)]]
    return sorted(drawn)
