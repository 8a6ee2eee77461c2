# SPDX-License-Identifier: Apache-2.0
"""The nouns: immutable values that flow from the sources through the join to the views. Imports nothing of ours."""

from inferometer.model.metrics import EMPTY, Aggregation, Attribute, Binding, Instrument, Metric, Stability
from inferometer.model.picture import Attribution, Engine, Holding, Owner, Role, Snapshot, SourceHealth, Tenure
from inferometer.model.reading import Clock, Frame, Frames, Reason, Source, Trouble
from inferometer.model.values import Histogram, Point, Reading, Resource, Value, series_of
from inferometer.model.worlds import (
    AllocatedClaim,
    Allocation,
    Claim,
    Device,
    DeviceReport,
    EngineReport,
    Grant,
    Pod,
    Port,
    Target,
    Unsupported,
    Xid,
)

__all__ = [
    "EMPTY",
    "Aggregation",
    "AllocatedClaim",
    "Allocation",
    "Attribute",
    "Attribution",
    "Binding",
    "Claim",
    "Clock",
    "Device",
    "DeviceReport",
    "Engine",
    "EngineReport",
    "Frame",
    "Frames",
    "Grant",
    "Histogram",
    "Holding",
    "Instrument",
    "Metric",
    "Owner",
    "Pod",
    "Point",
    "Port",
    "Reading",
    "Reason",
    "Resource",
    "Role",
    "Snapshot",
    "Source",
    "SourceHealth",
    "Stability",
    "Target",
    "Tenure",
    "Trouble",
    "Unsupported",
    "Value",
    "Xid",
    "series_of",
]
