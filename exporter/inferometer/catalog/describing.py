# SPDX-License-Identifier: Apache-2.0
"""Attributes that only describe what others tell apart: a series is the same series without them."""

from collections.abc import Container, Iterator

from inferometer.catalog import attributes as a
from inferometer.catalog.engines import ENGINE_INFO
from inferometer.catalog.gpu import GPU_INFO, VGPU_INFO
from inferometer.catalog.links import FABRIC_INFO
from inferometer.catalog.mig import MIG_INFO
from inferometer.catalog.xids import XID_INFO
from inferometer.model import Attribute, Metric

_OF_POD = (a.NAMESPACE, a.POD, a.WORKLOAD_KIND, a.WORKLOAD, a.TEAM, a.COST_CENTER, a.QUEUE)
_OF_CLAIM = (a.CLAIM_NAMESPACE, a.CLAIM, a.POD_GROUP)
_OF_GRANT = (a.CLAIM_DRIVER, a.CLAIM_POOL, a.CLAIM_DEVICE, a.CLAIM_SHARE, a.SHARING_STRATEGY)
_ENGINE = (a.POD_UID, a.SERVER_ADDRESS, a.SERVER_PORT)


def _told_by(metric: Metric, *keys: Attribute) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the attributes of an info that `keys`, its first, tell."""
    for attribute in metric.attributes:
        if attribute not in (*keys, a.OVERFLOW, a.SIMULATED):
            yield attribute.key, tuple(key.key for key in keys)


# An attribute's key -> the keys that tell its value.
DESCRIBED_BY: dict[str, tuple[str, ...]] = {
    a.HW_TYPE.key: (),
    **{key: told for info in (GPU_INFO, MIG_INFO, VGPU_INFO, FABRIC_INFO) for key, told in _told_by(info, a.HW_ID)},
    **dict(_told_by(XID_INFO, a.XID_CODE)),
    **{attribute.key: (a.POD_UID.key,) for attribute in _OF_POD},
    **{attribute.key: (a.CLAIM_UID.key,) for attribute in _OF_CLAIM},
    **{attribute.key: (a.HW_ID.key, a.CLAIM_UID.key, a.CLAIM_REQUEST.key) for attribute in _OF_GRANT},
    **{
        attribute.key: tuple(key.key for key in _ENGINE)
        for attribute in ENGINE_INFO.attributes[ENGINE_INFO.attributes.index(a.ENGINE_KIND) :]
        if attribute not in (a.OVERFLOW, a.SIMULATED)
    },
}


def is_told(key: str, kept: Container[str]) -> bool:
    """Tell whether an attribute's value follows from those of the keys that are kept."""
    told = DESCRIBED_BY.get(key)
    return told is not None and all(each in kept for each in told)
