"""Time tags: correlations, coincidences, dead time, and the files that hold them.

Tags are sorted int64 picoseconds, one array per channel. A delay is stop minus start. Bins and
windows are closed on the left and open on the right, so that every delay has exactly one place.
Names are loaded when they are first asked for; compiled kernels only for inputs that repay it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.analysis.timetags.correlation import (
        CoincidenceCounter,
        CorrelationHistogram,
        FransonCounter,
        correlation_histogram,
        count_coincidences,
        franson_peaks,
    )
    from labctl.analysis.timetags.files import TagFile, TagFileError, read_tags, write_ptu
    from labctl.analysis.timetags.nfold import NfoldCounter, nfold_coincidences
    from labctl.analysis.timetags.streams import (
        DeadTimeFilter,
        TagMerger,
        apply_dead_time,
        merge_tags,
    )
    from labctl.analysis.timetags.trials import (
        TrialCorrelation,
        count_error,
        g2_of_counts,
        g2_trials,
    )

_PLACES = {
    "CoincidenceCounter": "correlation",
    "CorrelationHistogram": "correlation",
    "DeadTimeFilter": "streams",
    "FransonCounter": "correlation",
    "NfoldCounter": "nfold",
    "TagFile": "files",
    "TagFileError": "files",
    "TagMerger": "streams",
    "TrialCorrelation": "trials",
    "apply_dead_time": "streams",
    "correlation_histogram": "correlation",
    "count_coincidences": "correlation",
    "count_error": "trials",
    "franson_peaks": "correlation",
    "g2_of_counts": "trials",
    "g2_trials": "trials",
    "merge_tags": "streams",
    "nfold_coincidences": "nfold",
    "read_tags": "files",
    "write_ptu": "files",
}

__all__ = [
    "CoincidenceCounter",
    "CorrelationHistogram",
    "DeadTimeFilter",
    "FransonCounter",
    "NfoldCounter",
    "TagFile",
    "TagFileError",
    "TagMerger",
    "TrialCorrelation",
    "apply_dead_time",
    "correlation_histogram",
    "count_coincidences",
    "count_error",
    "franson_peaks",
    "g2_of_counts",
    "g2_trials",
    "merge_tags",
    "nfold_coincidences",
    "read_tags",
    "write_ptu",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
