# SPDX-License-Identifier: Apache-2.0
"""The table of NVML calls agrees with the catalogue, with nvidia-ml-py, and with what the child may import."""

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pynvml  # noqa: TID251  # the table is held against the real binding
import pytest

from inferometer.catalog import ATTRIBUTES, BY_NAME
from inferometer.sources.devices import calls
from inferometer.sources.devices.bindings import BINDINGS
from inferometer.sources.devices.calls import shapes

PACKAGE = Path(calls.__file__).parents[1]


def test_every_quantity_is_in_the_catalogue() -> None:
    """A row names a metric of the catalogue, and attributes and values that the metric has."""
    for quantity, row in calls.QUANTITIES:
        metric = BY_NAME[quantity.metric]
        if row.each is not None:
            assert row.each.attribute in metric.keys
        for key, value in quantity.attributes:
            attribute = next(a for a in metric.attributes if a.key == key)
            assert value in attribute.values or key == "error.type"


def test_a_value_has_one_place_in_the_table() -> None:
    """No two rows give the same series (law 2), and none of a GPU is given for its instances too."""
    series = [(quantity.metric, quantity.attributes) for quantity, _ in calls.QUANTITIES]

    assert len(series) == len(set(series))
    assert all(quantity.metric.startswith("gpu.mig.") for row in calls.INSTANCE_ROWS for quantity in row.gives)
    assert not any(quantity.metric.startswith("gpu.mig.") for row in calls.GPU_ROWS for quantity in row.gives)


def test_every_fact_is_an_attribute_of_gpu_info() -> None:
    """A fact names an attribute that gpu.info carries."""
    keys = {fact.attribute for fact in (*calls.GPU_FACTS, *calls.DRIVER_FACTS)}
    fabric = set(BY_NAME["gpu.fabric.info"].keys)

    assert keys <= set(BY_NAME["gpu.info"].keys) | fabric <= {a.key for a in ATTRIBUTES}


def test_every_call_exists_in_the_binding() -> None:
    """A call is a symbol that nvidia-ml-py asks the library for, and a field is one of its constants."""
    source = Path(pynvml.__file__).read_text()
    for row in calls.ROWS:
        for way in row.ways:
            if isinstance(way.field, int) and way.field:
                assert getattr(pynvml, way.call) == way.field
            elif isinstance(way.field, tuple):
                first, _, last = way.call.partition(" to L")
                assert [getattr(pynvml, f"{first[:-1]}{i}") for i in range(int(last) + 1)] == list(way.field)
            elif way.gpm:
                assert getattr(pynvml, way.call) == way.gpm
            elif way.samples:
                assert isinstance(getattr(pynvml, way.samples), int)
    for call in calls.CALLS[1:]:
        assert f'_nvmlGetFunctionPointer("{call}")' in source


def test_every_way_is_one_of_four() -> None:
    """A way is a function, a field, a GPM metric or a kind of samples: exactly one of them."""
    for row in calls.ROWS:
        for way in row.ways:
            assert [bool(x) for x in (way.read, way.field, way.gpm, way.samples)].count(True) == 1
            assert not (row.each and way.gpm)


def test_nothing_that_blocks_is_called() -> None:
    """The call that measures PCIe traffic for 20 ms is in no table."""
    assert "nvmlDeviceGetPcieThroughput" not in calls.CALLS


def test_call_numbers_fit_their_byte() -> None:
    """The whereabouts word has one byte for the call's number, and 0 is no call."""
    assert len(calls.CALLS) <= 256
    assert calls.CALLS[0] == ""
    assert all(calls.CALLS[calls.NUMBER[call]] == call for call in calls.CALLS)


def test_every_device_metric_is_bound() -> None:
    """Every metric of devices has a binding, except those that are computed from others."""
    bound = {binding.metric for binding in BINDINGS}
    roots = ("hw.", "gpu.")
    wanted = {n for n in BY_NAME if n.startswith(roots) and not n.startswith("gpu.owner.")}

    of_the_join = {"hw.status", "gpu.health.reason", "gpu.reading.age", "gpu.mig.devices", "gpu.fabric.info"}
    assert wanted - bound <= {*of_the_join, "gpu.xid.info"}
    assert {name for name in bound if not name.startswith("inferometer.driver.")} <= wanted


@pytest.mark.parametrize(
    ("scale", "raw", "value"),
    [
        (shapes.milli, 351_234, 351.234),
        (shapes.micro, 3, 3e-06),
        (shapes.nano, 5_000_000_000, 5.0),
        (shapes.mega, 1980, 1.98e9),
        (shapes.mebi, 3.5, 3670016.0),
        (shapes.percent, 87, 0.87),
        (shapes.flag, 1, 1.0),
    ],
)
def test_scales_are_exact(scale: Callable[[float], float], raw: float, value: float) -> None:
    """A scale gives the double that is nearest to the value in base units."""
    assert scale(raw) == value


@pytest.mark.parametrize("raw", [-1, 101, 4_294_967_295])
def test_no_percentage_is_no_value(raw: int) -> None:
    """What is no percentage is refused rather than published as a ratio beyond 1."""
    with pytest.raises(ValueError, match="no percentage"):
        shapes.percent(raw)


@pytest.mark.parametrize(
    ("scale", "least", "most"),
    [
        (shapes.count, 0, 2**62 - 1024),
        (shapes.small, 0, 2**30 - 1),
        (shapes.watts, 0, 99_999_999),
        (shapes.mega, 0, 99_999_999),
        (shapes.celsius, -200, 300),
    ],
)
def test_what_cannot_be_is_no_value(scale: Callable[[float], float], least: float, most: float) -> None:
    """Negative counts and numbers with their highest bits set are refused; what a device can say is not."""
    scale(least), scale(most)
    for raw in (least - 1, 2 * most, 0x7FF8_0000_7FF8_0000, -1e300):
        with pytest.raises(ValueError, match="is no "):
            scale(raw)


def test_a_state_beyond_those_that_are_known_is_no_value() -> None:
    """An enumeration that a newer driver extends is absent rather than all zeros."""
    assert shapes.one_of(3)(2) == (0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="no known state"):
        shapes.one_of(3)(3)
    with pytest.raises(ValueError, match="neither"):
        shapes.flag(2)


def test_the_child_imports_no_more_than_it_may() -> None:
    """The sampler imports the standard library and its own package: nothing else of ours, and no third party but NVML."""
    code = (
        "import sys, inferometer.sources.devices.sampler;"
        "print([m for m in sys.modules if m.partition('.')[0] not in sys.stdlib_module_names])"
    )
    output = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    modules = {m for m in ast.literal_eval(output) if m.startswith("inferometer") or "." not in m}
    allowed = {f"inferometer.sources.devices.{p.stem}" for p in PACKAGE.glob("*.py")}
    allowed |= {f"inferometer.sources.devices.calls.{p.stem}" for p in PACKAGE.glob("calls/*.py")}
    allowed |= {"inferometer.sources.devices.calls"}
    parents = {"inferometer", "inferometer.sources", "inferometer.sources.devices", "__main__"}
    heavy = {
        "nvidia",
        "tiers",
        "child",
        "report",
        "quarantine",
        "bindings",
        "troubles",
        "backoff",
        "xids",
        "xid_catalog",
    }

    ours = {m for m in modules if m.startswith("inferometer")}
    assert ours <= allowed | parents
    assert not ours & {f"inferometer.sources.devices.{name}" for name in heavy}
    assert not modules & {"pynvml", "grpc", "google", "yaml"}


def test_the_child_imports_nothing_heavy() -> None:
    """The sampler does without the modules that would cost it more than they give: each MiB is spent on every node."""
    code = "import sys; before = set(sys.modules); import inferometer.sources.devices.sampler; print(sorted(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(PACKAGE.parents[2])!r}); {code}"],
                            capture_output=True, text=True, check=True).stdout  # fmt: skip

    assert not set(ast.literal_eval(output)) & {
        "argparse",
        "dataclasses",
        "logging",
        "pathlib",
        "asyncio",
        "socket",
        "subprocess",
    }
