# SPDX-License-Identifier: Apache-2.0
"""What the agent says of a real Triton is what its client knows: outcomes, and microseconds as seconds."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines.recorded import record
from engines.triton import Triton, is_installed, triton_differences
from live.agent import agent_of
from whole.pages import scrape

pytestmark = pytest.mark.live


def test_outcomes_and_times_are_the_clients(tmp_path: Path) -> None:
    """Requests in turn and at once, some that fail: counted by outcome, and no longer than the client waited."""
    if not is_installed():
        pytest.skip(".venv-triton is missing: run `make setup-engines`")
    with Triton(tmp_path / "triton") as triton, agent_of(tmp_path / "a", [(triton.metrics_url, "triton-0")]) as agent:
        for number in range(5):
            assert triton.double(number).outcome == "finished"
        for number in (-1, -2):  # alone: it fails a whole batch
            assert triton.double(number).outcome == "refused"
        with ThreadPoolExecutor(12) as pool:
            assert {each.outcome for each in pool.map(triton.double, range(40))} == {"finished"}

        end = time.monotonic() + 30
        while (said := triton_differences(scrape(agent.url), triton.ledger())) and time.monotonic() < end:
            time.sleep(0.1)

        assert said == []
        record("triton/real_pytriton0.7.0_cpu_failures", triton.page(), triton.ledger())
