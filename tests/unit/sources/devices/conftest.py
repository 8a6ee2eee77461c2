# SPDX-License-Identifier: Apache-2.0
"""The real nvidia-ml-py, in the real sampler child, on a libnvidia-ml.so.1 that is built here."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakenvml.build import build
from fakenvml.driver import Driver, Open, Tuned, children, close_all
from inferometer.config import Nvidia as Settings
from inferometer.config import Seconds
from inferometer.sources.devices.nvidia import Nvidia


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library once."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Point the library at a text of this test."""
    driver = Driver(tmp_path, library)
    monkeypatch.setenv("FAKENVML", str(driver.text))
    monkeypatch.setenv("FAKENVML_LOG", str(driver.log))
    return driver


@pytest.fixture
def opened(driver: Driver) -> Iterator[Open]:
    """Open sources that are closed, and whose processes are seen to be gone, when the test ends."""
    sources: list[Nvidia] = []

    def open_source(deadline: float = 10.0, kill_after: float = 60.0, library: Path | None = None) -> Nvidia:
        path = str(library or driver.library)
        settings = Settings(library=path, deadline=Seconds(deadline), kill_after=Seconds(kill_after))
        source = Nvidia(settings, period=1.0)
        sources.append(source)
        return source

    before = children()
    yield open_source
    close_all(sources, before)


@pytest.fixture
def tuned(driver: Driver) -> Iterator[Tuned]:
    """Open sources whose slow tier is due at each read, and counts for a minute; closed when the test ends."""
    sources: list[Nvidia] = []

    def open_source(**settings: object) -> Nvidia:
        patient = Settings(
            library=str(driver.library), deadline=Seconds(10), kill_after=Seconds(60), slow_period=Seconds(0.001)
        )
        source = Nvidia(replace(patient, **settings), period=30.0)  # type: ignore[arg-type]  # whatever the test wants
        sources.append(source)
        return source

    before = children()
    yield open_source
    close_all(sources, before)
