"""The platform's own features, each by its one declaration, in the order of their columns.

Their formulas are in :mod:`trading_platform.domain.features.formulas` and
:mod:`trading_platform.domain.features.cross_section`.
"""

from __future__ import annotations

import polars as pl

from trading_platform.domain.derived.indicators import INDICATORS, WARM_UP
from trading_platform.domain.features import cross_section, formulas
from trading_platform.domain.features.declaration import Feature, Function, Unit
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.inputs import bars, benchmark, feature, indicator, news, peers

_NO_SOCIAL_MEDIA = "no source of social media is connected; NULL until one is"


def _return(length: int, compute: Function) -> Feature:
    return Feature(
        name=f"returns_{length}d",
        category="technical",
        description=f"Simple return over {length} bar{'s' if length > 1 else ''}",
        formula=f"close_t / close_(t-{length}) - 1",
        inputs=(bars("close"),),
        lookback_days=length,
        warm_up=length,
        compute=compute,
    )


def _indicator(name: str, description: str, lookback_days: int, unit: Unit = "none") -> Feature:
    return Feature(
        name=name,
        category="technical",
        description=description,
        formula=INDICATORS[name].formula,
        inputs=(indicator(name),),
        lookback_days=lookback_days,
        warm_up=WARM_UP,
        first_row=INDICATORS[name].first_row,
        compute=pl.col(name),
        unit=unit,
        gaps="span",
    )


BUILT_IN = FeatureSet(
    (
        _return(1, formulas.returns_1d),
        _return(5, formulas.returns_5d),
        _return(20, formulas.returns_20d),
        Feature(
            name="volatility_20d",
            category="technical",
            description="Standard deviation of the last 20 daily returns, not annualised",
            formula="sample standard deviation (ddof = 1) of returns_1d over 20 bars",
            inputs=(feature("returns_1d"),),
            lookback_days=20,
            warm_up=20,
            compute=formulas.volatility_20d,
        ),
        _indicator("rsi_14", "Relative strength index; NULL while the price stands still", 14),
        _indicator("macd_hist", "MACD histogram, in price", 26, "price"),
        Feature(
            name="volume_ratio_20d",
            category="technical",
            description="Volume against its mean of 20 bars, this one included",
            formula="volume_t / mean(volume, 20); NULL where a volume is unknown or all are 0",
            inputs=(bars("volume"),),
            lookback_days=20,
            warm_up=19,
            compute=formulas.volume_ratio_20d,
            gaps="bridge",
        ),
        Feature(
            name="sma_ratio_50",
            category="technical",
            description="Close against its mean of 50 bars",
            formula="close_t / sma_50",
            inputs=(bars("close"), indicator("sma_50")),
            lookback_days=50,
            warm_up=49,
            compute=pl.col("close") / pl.col("sma_50"),
            gaps="span",
        ),
        _indicator("atr_14", "Average true range, in price", 14, "price"),
        Feature(
            name="bb_position",
            category="technical",
            description="Where the close stands between the Bollinger bands: 0 at the lower, 1 at the upper",
            formula="(close_t - bb_lower) / (bb_upper - bb_lower); NULL where the bands coincide",
            inputs=(bars("close"), indicator("bb_lower", "bb_middle", "bb_upper")),
            lookback_days=20,
            warm_up=19,
            compute=formulas.bb_position,
            gaps="span",
        ),
        _indicator("adx_14", "Strength of the trend", 14),
        Feature(
            name="sector_momentum",
            category="cross-sectional",
            description="Return over 20 bars against the other members of the sector",
            formula="returns_20d - mean of the latest returns_20d of the sector's other members known at available_at",
            inputs=(feature("returns_20d"), peers("returns_20d")),
            lookback_days=20,
            warm_up=20,
            compute=cross_section.sector_momentum,
            gaps="span",
        ),
        Feature(
            name="market_beta_60d",
            category="cross-sectional",
            description="Sensitivity of the daily return to that of the benchmark",
            formula="cov(r, r_m) / var(r_m) over the last 60 dates with both returns known at available_at",
            inputs=(feature("returns_1d"), benchmark("returns_1d")),
            lookback_days=60,
            warm_up=cross_section.BETA_LOOKBACK,
            compute=cross_section.market_beta_60d,
            gaps="span",
        ),
        Feature(
            name="news_sentiment_24h",
            version=2,
            category="sentiment",
            description="Sentiment of the news about the symbol in the 24 hours before the close",
            formula="mean of the sentiment, from -1 to 1, of articles first seen in the 24 hours before available_at, "
            "weighted by confidence and by 1/2 for each 6 hours of age; NULL without news",
            inputs=(news("sentiment", "confidence"),),
            lookback_days=1,
            warm_up=0,
            compute=formulas.news_sentiment_24h,
            gaps="span",
        ),
        Feature(
            name="social_volume_7d",
            category="sentiment",
            description="Mentions of the symbol in social media in the 7 days before the close",
            formula="number of mentions first seen in the last 7 days",
            inputs=(news("mentions"),),
            lookback_days=7,
            warm_up=0,
            compute=None,
            awaits=_NO_SOCIAL_MEDIA,
        ),
    )
)
"""All features of the platform. Social media have no source yet: social_volume_7d is NULL."""
