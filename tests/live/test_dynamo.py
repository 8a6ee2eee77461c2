# SPDX-License-Identifier: Apache-2.0
"""The live engine that other tests rely on is real: its own pages count what was sent."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families  # noqa: TID251  # the oracle reads the engine's page

from live.dynamo import Dynamo, Usage
from live.processes import EngineError

pytestmark = pytest.mark.live


def total(page: str, sample: str) -> float:
    """The sum of one sample name over all its series."""
    return sum(s.value for family in text_string_to_metric_families(page) for s in family.samples if s.name == sample)


def counted(dynamo: Dynamo) -> dict[str, float]:
    """What both pages say has been done so far."""
    frontend, worker = dynamo.frontend_metrics(), dynamo.worker_metrics()
    return {
        "requests": total(frontend, "dynamo_frontend_requests_total"),
        "first tokens": total(frontend, "dynamo_frontend_time_to_first_token_seconds_count"),
        "input tokens": total(frontend, "dynamo_frontend_input_sequence_tokens_sum"),
        "output tokens": total(frontend, "dynamo_frontend_output_tokens_total"),
        "worker requests": total(worker, "vllm:e2e_request_latency_seconds_count"),
    }


def test_its_pages_count_exactly_the_requests_and_tokens_that_were_sent(dynamo: Dynamo) -> None:
    """Each request moves the request and token counters by what the answer's own usage says."""
    send: tuple[Callable[[], Usage], ...] = (
        lambda: dynamo.chat("how long is a token?", max_tokens=12),
        lambda: dynamo.chat("and in a stream?", max_tokens=7, stream=True),
        lambda: dynamo.complete("once", max_tokens=5),
        lambda: dynamo.complete("once more", max_tokens=3),
    )
    before = counted(dynamo)
    usage = [request() for request in send]
    assert [u.completion_tokens for u in usage] == [12, 7, 5, 3]
    expected = {
        "requests": 4,
        "first tokens": 4,
        "input tokens": sum(u.prompt_tokens for u in usage),
        "output tokens": sum(u.completion_tokens for u in usage),
        "worker requests": 4,
    }
    deadline = time.monotonic() + 30  # the frontend counts a stream a moment after its client has read the end
    while (
        moved := {name: value - before[name] for name, value in counted(dynamo).items()}
    ) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert moved == expected


def test_one_byte_is_one_token(dynamo: Dynamo) -> None:
    """The prompt of a request has as many tokens as its text has bytes, so tests can tell what to expect."""
    assert dynamo.complete("grün", max_tokens=1).prompt_tokens == len("grün".encode())
    assert dynamo.chat("0123456789", max_tokens=1).prompt_tokens == 10


def test_a_refused_request_says_what_the_engine_answered(dynamo: Dynamo) -> None:
    """A request that the engine refuses raises with the engine's own words."""
    with pytest.raises(EngineError, match="answered 4"):
        dynamo.complete("x", max_tokens=-1)


def test_two_run_side_by_side_and_leave_nothing_behind(dynamo: Dynamo, tmp_path: Path) -> None:
    """A second engine disturbs the first in nothing, and when it stops none of its processes exists."""
    with Dynamo(tmp_path, model="other") as other:
        pids = other.pids
        assert other.complete("x", max_tokens=2).completion_tokens == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)
    assert dynamo.complete("x", max_tokens=2).completion_tokens == 2
