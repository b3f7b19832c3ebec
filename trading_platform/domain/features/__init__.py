"""Features as data: how they are declared, the platform's own, and their computation from bars.

What a file of one's own definitions imports (docs/own-features.md) is named here; the parts are in the modules.
"""

from trading_platform.domain.features.declaration import Feature, Label
from trading_platform.domain.features.inputs import FeatureInputs, bars, benchmark, feature, indicator, news, peers

__all__ = ["Feature", "FeatureInputs", "Label", "bars", "benchmark", "feature", "indicator", "news", "peers"]
