# SPDX-License-Identifier: Apache-2.0
"""The JSON documents: complete, with a schema number, and without secrets."""

import json

from inferometer import catalog
from inferometer.model import Binding
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
