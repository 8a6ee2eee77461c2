# SPDX-License-Identifier: Apache-2.0
"""Asks the library through the real nvidia-ml-py, in a process of its own, since NVML is started once in a process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakenvml.fakenvml import Node

_PRELUDE = '''
import ctypes, json, os, sys, time
import pynvml as n
from ctypes import byref, sizeof

def plain(x):
    """Make JSON of what pynvml gives: structures are lists of their fields, bytes are text."""
    if isinstance(x, bytes):
        return x.decode("utf-8", "backslashreplace")
    if isinstance(x, (list, tuple, ctypes.Array)):
        return [plain(i) for i in x]
    if isinstance(x, n.nvmlFriendlyObject):
        return [plain(i) for i in vars(x).values()]
    if isinstance(x, ctypes.Structure):
        return [plain(getattr(x, name)) for name, _ in x._fields_]
    return x if x is None or isinstance(x, (int, float, str)) else type(x).__name__

def into(call, structure, *args):
    """Have a call fill a structure, and give it."""
    call(*args, byref(structure))
    return structure

def fields(device, *ids):
    """Give the code, the type and the value of each field."""
    kinds = {0: "dVal", 1: "uiVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
    answers = n.nvmlDeviceGetFieldValues(device, list(ids))
    return [(f.nvmlReturn, f.valueType, getattr(f.value, kinds[f.valueType])) if not f.nvmlReturn else f.nvmlReturn for f in answers]

def metrics(first, second, *ids):
    """Give the value of each GPM metric, or its code."""
    get = n.c_nvmlGpmMetricsGet_t(version=1, numMetrics=len(ids), sample1=first, sample2=second)
    for metric, id_ in zip(get.metrics, ids):
        metric.metricId = id_
    n.nvmlGpmMetricsGet(get)
    return [m.nvmlReturn and -m.nvmlReturn or m.value for m in get.metrics[:len(ids)]]

def change():
    """Change the text to the second one."""
    os.replace(os.environ["NEXT"], os.environ["FAKENVML"])

def ask(expression):
    try:
        return plain(eval(expression, globals()))
    except n.NVMLError as error:
        return f"error {error.value}"
    except (UnicodeDecodeError, ValueError) as error:
        return type(error).__name__

n.nvmlInit()
for expression in json.load(sys.stdin):
    print(json.dumps(ask(expression)))
n.nvmlShutdown()
'''


def ask(directory: Path, library: Path, node: Node, expressions: Sequence[str], then: Node | None = None) -> list[Any]:
    """Evaluate expressions, in which `n` is pynvml; `change()` makes the driver answer as `then`.

    An error of NVML is "error CODE". The log of the calls is `calls.log` in the directory.
    """
    text, fresh = directory / "node.txt", directory / "next.txt"
    node.write(text)
    (then or node).write(fresh)
    places = {
        "FAKENVML": text,
        "FAKENVML_LOG": directory / "calls.log",
        "NEXT": fresh,
        "LD_LIBRARY_PATH": library.parent,
    }
    environment: Mapping[str, str] = os.environ | {name: str(place) for name, place in places.items()}
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PRELUDE],
        input=json.dumps(expressions),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.returncode, f"{done.returncode}: {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]
