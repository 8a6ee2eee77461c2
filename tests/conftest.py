# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: a skip is a failure where CI=true, and Hypothesis never judges by the clock."""

import os
import signal
from collections.abc import Generator, Iterable, Mapping
from collections.abc import Set as AbstractSet

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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Name the tests that failed once more at the very end: where CI=true what they say is printed whole, and can be long."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if COMPLETE and reporter is not None:
        for report in (*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())):
            reporter.write_line(f"failed: {report.nodeid}")


_LARGE = 24  # elements: from here on all of them would hide in what they differ
_SHOWN = 10  # of each difference


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare(
    op: str, left: object, right: object
) -> Generator[None, list[list[str] | None], list[list[str] | None]]:
    """Say of large sets and mappings that should be equal only in what they differ: the end of a log then has it.

    Where CI=true pytest would write both out and compare the lines, which takes it minutes of those in which a test waits
    until they are equal.
    """
    differences = _differences(left, right) if op == "==" else None
    if differences is None:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        patch.delenv("BUILD_NUMBER", raising=False)
        return [differences, *(yield)]


def _differences(left: object, right: object) -> list[str] | None:
    differing: list[str] = []
    if not isinstance(left, (AbstractSet, Mapping)) or not isinstance(right, (AbstractSet, Mapping)):
        return None
    if max(len(left), len(right)) < _LARGE:
        return None
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        pairs = ((key, left[key], right[key]) for key in left if key in right)
        differing = _shorten([f"{key!r}: {one!r} != {other!r}" for key, one, other in pairs if one != other])
    return [
        f"{len(left)} == {len(right)} elements, with these differences",
        *(f"only on the left: {text}" for text in _shorten(repr(each) for each in left if each not in right)),
        *(f"only on the right: {text}" for text in _shorten(repr(each) for each in right if each not in left)),
        *differing,
    ]


def _shorten(texts: Iterable[str]) -> list[str]:
    found = sorted(texts)
    return found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])
