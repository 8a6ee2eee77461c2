# SPDX-License-Identifier: Apache-2.0
"""How a metric is defined: the attributes that a kind of thing has, and the short names of the definitions."""

from inferometer.catalog.attributes import (
    ATTRIBUTION,
    CLAIM,
    CLAIM_NAMESPACE,
    CLAIM_REQUEST,
    CLAIM_UID,
    CONTAINER,
    COST_CENTER,
    GPU_INDEX,
    HW_ID,
    HW_PARENT,
    HW_TYPE,
    MIG_PROFILE,
    MODEL,
    NAMESPACE,
    OPERATION,
    OVERFLOW,
    POD,
    POD_UID,
    PROVIDER,
    RANK,
    REPLICA,
    SERVER_ADDRESS,
    SERVER_PORT,
    SIMULATED,
    SOURCE,
    SOURCE_INSTANCE,
    TEAM,
    WORKLOAD,
    WORKLOAD_KIND,
)
from inferometer.catalog.names import prometheus_name
from inferometer.model import Aggregation, Attribute, Instrument, Metric, Stability

ON_GPU = (HW_ID, GPU_INDEX)
ON_HARDWARE = (*ON_GPU, HW_TYPE)
ON_INSTANCE = (HW_ID, GPU_INDEX, HW_PARENT, MIG_PROFILE)
OF_POD = (NAMESPACE, POD, POD_UID, CONTAINER, WORKLOAD_KIND, WORKLOAD, TEAM, COST_CENTER)
OF_CLAIM = (CLAIM_NAMESPACE, CLAIM, CLAIM_UID, CLAIM_REQUEST)
ON_HOLDING = (*ON_INSTANCE, *OF_POD, *OF_CLAIM)
ON_OWNER = (*ON_HOLDING, ATTRIBUTION)
ON_ENGINE = (*OF_POD, SERVER_ADDRESS, SERVER_PORT, PROVIDER, OPERATION, MODEL, RANK, REPLICA)
ON_VGPU = (HW_ID, GPU_INDEX, HW_PARENT)
ON_SOURCE = (SOURCE, SOURCE_INSTANCE)

G, C, U, H = Instrument.GAUGE, Instrument.COUNTER, Instrument.UPDOWNCOUNTER, Instrument.HISTOGRAM
SUM, AVG, MAX, JOIN = Aggregation.SUM, Aggregation.AVERAGE, Aggregation.MAX, Aggregation.JOIN


def metric(
    name: str, unit: str, instrument: Instrument, attributes: tuple[Attribute, ...], aggregation: Aggregation, text: str
) -> Metric:
    """Define one metric. `hw.*` and `gen_ai.*` are conventions; every metric can carry the marks of overflow and simulation.

    Only a counter ever overflows; but gauges and counters of one kind of thing share their points' attributes.
    """
    stability = Stability.CONVENTION if name.startswith(("hw.", "gen_ai.")) else Stability.PROVISIONAL
    return Metric(
        name,
        unit,
        instrument,
        (*attributes, OVERFLOW, SIMULATED),
        stability,
        aggregation,
        text,
        prometheus_name(name, unit, instrument),
    )


def keys_of(metric: Metric) -> tuple[str, ...]:
    """Name the attributes that a metric's series can have: what is no counter never overflows."""
    return tuple(key for key in metric.keys if key != OVERFLOW.key or metric.instrument is Instrument.COUNTER)
