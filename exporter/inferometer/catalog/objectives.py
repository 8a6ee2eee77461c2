# SPDX-License-Identifier: Apache-2.0
"""The objectives that are set for engines, beside what their own histograms can tell."""

from inferometer.catalog.attributes import SLO_METRIC, SLO_NAME, SLO_SIDE, SLO_STATE
from inferometer.catalog.define import MAX, ON_ENGINE, G, metric

SLO_THRESHOLD = metric(
    "inference.slo.threshold",
    "s",
    G,
    (*ON_ENGINE, SLO_NAME, SLO_METRIC, SLO_STATE),
    MAX,
    "Threshold of an objective that is for this engine, and whether the engine's histogram can tell who kept it.",
)
SLO_BOUND = metric(
    "inference.slo.bound",
    "s",
    G,
    (*ON_ENGINE, SLO_NAME, SLO_METRIC, SLO_SIDE),
    MAX,
    "Bound of the engine's histogram next to an objective's threshold: where it can really be measured.",
)
