# SPDX-License-Identifier: Apache-2.0
"""The dense node of the bench is whole, and its memory is counted once."""

import json
import os
import subprocess
import sys

import psutil

from bench import densenode
from bench.measure import Row
from bench.memory import held
from bench.parse import PAGE, grown
from inferometer.sources.engines.reader import describe
from inferometer.sources.identity.allocations import parse
from inferometer.sources.identity.projection import project
from kubelet.podresources import message


def test_the_dense_node_is_as_dense_as_designed() -> None:
    """8 GPUs with 7 instances each, 60 pods that hold one, 16 of them with an engine."""
    node = densenode.driver()
    pods = [project(pod) for pod in densenode.pods(densenode.ENGINES, 8000)]
    allocations = parse(message(densenode.allocations()))
    instances = {i.uuid for gpu in node.gpus for i in gpu.instances if i}

    assert (len(node.gpus), len(instances), len({pod.uid for pod in pods})) == (8, 56, 60)
    assert {a.device for a in allocations} == instances
    assert {(a.namespace, a.pod) for a in allocations} == {(pod.namespace, pod.name) for pod in pods}
    assert sum("inferometer/port" in pod.annotations for pod in pods) == 16


def test_an_engines_page_moves_and_stays_an_engines_page() -> None:
    """A page that has grown says the same engine, with other numbers in nearly all of its series."""
    recorded = PAGE.read_text().splitlines()
    later = [grown(line, 7) for line in recorded]

    assert describe("\n".join([*later, ""]).encode()) == describe(PAGE.read_bytes())
    assert sum(a != b for a, b in zip(recorded, later, strict=True)) > 100


def test_what_a_page_lacks_is_named() -> None:
    """The first page is refused with the count of what is missing."""
    assert densenode.missing('gpu_info{hw_id="a"} 1.0\n' * 8, 0) == [
        "0 of 56 gpu_mig_info",
        "0 of 56 gpu_mig_memory_usage_bytes",
        "0 of 60 gpu_owner_info",
    ]


def test_memory_of_files_counts_once() -> None:
    """Two processes hold less than twice what one holds, and each at least what is its own."""
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        me, other = os.getpid(), process.pid
        together, one = held([me, other]), held([other])
        own = psutil.Process(other).memory_full_info().uss / (1 << 20)
        process.kill()

    assert one >= own
    assert together < held([me]) + one


def test_a_budgets_row_says_goal_and_limit() -> None:
    """What DESIGN asks stands beside what was measured."""
    row = json.loads(str(Row("dense.memory", 60.0, "MiB", 45.0, "floor", goal=64, limit=77.0)))

    assert (row["ratio"], row["goal"], row["limit"]) == (0.75, 64, 77.0)
