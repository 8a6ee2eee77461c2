# SPDX-License-Identifier: Apache-2.0
"""The JSON documents: complete, with a schema number, and without secrets."""

import json

from example import SNAPSHOT
from inferometer import catalog
from inferometer.model import Binding, Histogram
from inferometer.views.json import dump, metrics, snapshot
from nodes import snapshots


def test_a_snapshot_has_all_its_parts() -> None:
    """Devices, holdings, engines, sources and every point stand in the document; what is unknown is left out."""
    _, after = snapshots({"pair": (0.0, 1000.0)})

    read = json.loads(dump(snapshot(after)))

    assert read["schema"] == 1
    assert (len(read["devices"]), len(read["holdings"]), len(read["engines"])) == (9, 7, 1)
    assert read["engines"][0] == {
        "instance": "serving/pair",
        "engine": "vllm",
        "backend": "vllm",
        "kind": "engine",
        "version": "0.32.0",
        "models": ["llama-3-70b"],
        "owner": {"namespace": "serving", "pod": "pair", "uid": "uid-pair"},
    }
    assert sum(len(metric["points"]) for metric in read["metrics"]) == len(after.points)
    (power,) = [metric for metric in read["metrics"] if metric["name"] == "hw.power"]
    assert power["unit"] == "W"
    assert power["points"][0] == {
        "attributes": {"hw.id": "GPU-0", "gpu.index": "0", "hw.type": "gpu"},
        "value": 300.0,
        "at": after.at,
    }
    assert "null" not in dump(snapshot(after))


def test_a_histogram_has_its_own_bounds() -> None:
    """Counts are per bucket, one more than the bounds, and their sum stands beside them."""
    read = json.loads(dump(snapshot(SNAPSHOT)))

    found = [
        (value, p["value"])
        for m in read["metrics"]
        for p, value in zip(m["points"], [q.value for q in SNAPSHOT.points if q.metric.name == m["name"]], strict=True)
        if isinstance(value, Histogram)
    ]
    assert found
    for value, written in found:
        assert written == {
            "bounds": list(value.bounds),
            "counts": list(value.counts),
            "count": value.observations,
            "sum": value.sum,
        }


def test_the_catalogue_names_where_each_metric_is_read() -> None:
    """The document has every metric once, each with the calls of its bindings."""
    binding = Binding("hw.power", "nvmlDeviceGetPowerUsage", "nvml", architecture="fermi", mig="gpu")

    read = json.loads(dump(metrics([binding])))

    assert [m["name"] for m in read["metrics"]] == [m.name for m in catalog.METRICS]
    (power,) = [m for m in read["metrics"] if m["name"] == "hw.power"]
    assert power == {
        "name": "hw.power",
        "prometheus": "hw_power_watts",
        "unit": "W",
        "instrument": "gauge",
        "attributes": ["hw.id", "gpu.index", "hw.type", "inferometer.simulated"],
        "stability": "convention",
        "aggregation": "sum",
        "description": catalog.POWER.description,
        "sources": [
            {
                "source": "nvml",
                "call": "nvmlDeviceGetPowerUsage",
                "attributes": {},
                "architecture": "fermi",
                "mig": "gpu",
            }
        ],
    }
