# SPDX-License-Identifier: Apache-2.0
"""What an engine's page does not tell: all of it, or families that it should have."""

from collections.abc import Mapping

from inferometer import catalog
from inferometer.join.sheet import Sheet
from inferometer.model import Engine, EngineReport, Resource

STATISTICS_OFF, UNKNOWN_PAGE, *_ = catalog.BLIND_REASON.values

_Attributes = Mapping[str, str | None]


def blindness(report: EngineReport) -> str:
    """Say why a page that answers says nothing of its engine; empty where it does, or where we cannot map it yet.

    A page that has only what any server says, and nothing of its own, is that of an engine whose statistics are off: vLLM's
    with `--disable-log-stats` is such a one.
    """
    if report.readings:
        return ""
    if report.kind == "unknown":
        return UNKNOWN_PAGE if report.unknown else STATISTICS_OFF
    return STATISTICS_OFF if report.missing else ""


def put_blindness(sheet: Sheet, attributes: _Attributes, reason: str, at: float, resource: Resource) -> None:
    """Put whether an engine is up and blind; `reason` is empty where it is not."""
    told = {**attributes, catalog.BLIND_REASON.key: reason}
    sheet.put(catalog.ENGINE_BLIND, told, float(bool(reason)), at=at, resource=resource)


def put_drift(sheet: Sheet, engine: Engine, attributes: _Attributes, at: float, resource: Resource) -> None:
    """Put how many families differ from what is known of the engine; of an unknown one nothing is."""
    if engine.kind == "unknown":
        return
    for state, families in zip(catalog.FAMILY_STATE.values, (engine.missing, engine.unknown), strict=True):
        told = {**attributes, catalog.FAMILY_STATE.key: state}
        sheet.put(catalog.ENGINE_FAMILIES, told, float(len(families)), at=at, resource=resource)
