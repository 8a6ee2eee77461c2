# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: a skip is a failure where CI=true, and Hypothesis never judges by the clock."""

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

COMPLETE = os.environ.get("CI") == "true"  # here every part must be present

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's `make test &` leaves it, and programs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "inferometer", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=COMPLETE
)
settings.load_profile("inferometer")


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if COMPLETE and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"a part is missing where CI=true: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one where CI=true."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a file that skips itself as a whole into a failure where CI=true."""
    report = yield
    _refuse_skip(report)
    return report
