"""Which wavelength channels to give to which user of a fully connected entanglement network.

Channels are labelled by integers, pumps included. Two labels are correlated when their sum is the
sum of two pumps (energy conservation of four-wave mixing). Every two users must share a pair.
"""

from labctl.analysis.allocation.bounds import fewest_channels
from labctl.analysis.allocation.correlations import Correlations
from labctl.analysis.allocation.planning import Plan, plan_channels

__all__ = ["Correlations", "Plan", "fewest_channels", "plan_channels"]
