# SPDX-License-Identifier: Apache-2.0
"""The table of NVML calls agrees with the catalogue, with nvidia-ml-py, and with what the child may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pynvml  # noqa: TID251  # the table is held against the real binding
import pytest

from inferometer.catalog import ATTRIBUTES, BY_NAME
from inferometer.sources.devices import calls
from inferometer.sources.devices.bindings import BINDINGS

PACKAGE = Path(calls.__file__).parent


def test_every_quantity_is_in_the_catalogue() -> None:
    """A row names a metric of the catalogue, and attributes and values that the metric has."""
    for quantity in calls.QUANTITIES:
        metric = BY_NAME[quantity.metric]
        for key, value in quantity.attributes:
            attribute = next(a for a in metric.attributes if a.key == key)
            assert value in attribute.values


def test_every_fact_is_an_attribute_of_gpu_info() -> None:
    """A fact names an attribute that gpu.info carries."""
    keys = {fact.attribute for fact in (*calls.GPU_FACTS, *calls.DRIVER_FACTS)}

    assert keys <= set(BY_NAME["gpu.info"].keys) <= {a.key for a in ATTRIBUTES}


def test_every_call_exists_in_the_binding() -> None:
    """A call is a symbol that nvidia-ml-py asks the library for, and a field is one of its constants."""
    source = Path(pynvml.__file__).read_text()
    for row in calls.ROWS:
        for way in row.ways:
            if way.field:
                assert getattr(pynvml, way.call) == way.field
            else:
                assert f'_nvmlGetFunctionPointer("{way.call}")' in source
    for call in (*calls.WALK, *calls.EVENTS, *(fact.call for fact in (*calls.GPU_FACTS, *calls.DRIVER_FACTS))):
        assert f'_nvmlGetFunctionPointer("{call}")' in source


def test_call_numbers_fit_their_byte() -> None:
    """The whereabouts word has one byte for the call's number, and 0 is no call."""
    assert len(calls.CALLS) <= 256
    assert calls.CALLS[0] == ""
    assert all(calls.CALLS[calls.NUMBER[call]] == call for call in calls.CALLS)


def test_every_device_metric_is_bound() -> None:
    """Every metric of devices has a binding, except those that are computed from the source's health."""
    bound = {binding.metric for binding in BINDINGS}
    roots = ("hw.", "gpu.")
    wanted = {n for n in BY_NAME if n.startswith(roots) and not n.startswith("gpu.owner.")}

    assert wanted - bound <= {"hw.status", "gpu.reading.age"}
    assert bound <= wanted


@pytest.mark.parametrize(
    ("scale", "raw", "value"),
    [(calls.same, 61, 61.0), (calls.milli, 351_234, 351.234), (calls.mega, 1980, 1.98e9), (calls.percent, 87, 0.87)],
)
def test_scales_are_exact(scale: object, raw: int, value: float) -> None:
    """A scale gives the double that is nearest to the value in base units."""
    assert callable(scale)
    assert scale(raw) == value


@pytest.mark.parametrize("raw", [-1, 101, 4_294_967_295])
def test_no_percentage_is_no_value(raw: int) -> None:
    """What is no percentage is refused rather than published as a ratio beyond 1."""
    with pytest.raises(ValueError, match="no percentage"):
        calls.percent(raw)


def test_the_child_imports_no_more_than_it_may() -> None:
    """The sampler imports the standard library and its own package: nothing else of ours, and no third party but NVML."""
    code = (
        "import sys, inferometer.sources.devices.sampler;"
        "print([m for m in sys.modules if m.partition('.')[0] not in sys.stdlib_module_names])"
    )
    output = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    modules = {m for m in ast.literal_eval(output) if m.startswith("inferometer") or "." not in m}
    allowed = {f"inferometer.sources.devices.{p.stem}" for p in PACKAGE.glob("*.py")}
    parents = {"inferometer", "inferometer.sources", "inferometer.sources.devices", "__main__"}
    heavy = {"nvidia", "child", "report", "quarantine", "bindings", "troubles", "backoff", "xids", "xid_catalog"}

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
