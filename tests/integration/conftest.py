# SPDX-License-Identifier: Apache-2.0
"""What the tests with real backends share: a missing program is a skip by name, a failure shows the programs' logs."""

from collections.abc import Generator, Iterator

import pytest

from inferometer.simulation.node import SimulatedNode
from integration.programs import STARTED, MissingError, Needs, find


@pytest.fixture(scope="session")
def needs() -> Needs:
    """Skip what needs programs that are not built, by their names."""

    def need(*programs: str) -> None:
        try:
            for program in programs:
                find(program)
        except MissingError as error:
            pytest.skip(str(error))

    return need


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A simulated node whose time stands still."""
    node = SimulatedNode(seed=7)
    node.pause()
    with node:
        yield node


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what every program of a test said, where it fails."""
    report = yield
    if report.failed:
        report.sections.extend((f"log of {program.name}", program.log_tail) for program in STARTED)
    if call.when == "teardown":
        STARTED[:] = [program for program in STARTED if program.is_running]
    return report
