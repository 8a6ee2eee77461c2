# SPDX-License-Identifier: Apache-2.0
"""A real pipeline on a driver of its own: from the library's answers to the numbers on the page."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fakenvml.build import build
from fakenvml.fakenvml import Fault
from faults.scene import PATIENT, SLICE, VGPU, WITNESSES, Scene
from inferometer.app.pipeline import Pipeline
from inferometer.config import Accounting, Config, Devices, Engines, Identity, KernelLog, Nvidia, Seconds, TargetConfig
from inferometer.model import Reason, Snapshot
from inferometer.sources.devices.release import Pause
from inferometer.sources.devices.troubles import PAUSED
from inferometer.views.prometheus import Exposition

PERIOD = 2.0  # seconds, of which no page is made later than it may be; but nobody waits for them, see `step`
_APART = 0.11  # seconds between two samples of GPM, at least
_DEVICE = re.compile(r'hw_id="([^"]*)"')
_FORMER = re.compile(r'"(GPU|MIG)-[a-z]+-[0-9]+"')  # an earlier patient, whose counters linger
_PASSING = "gpu_reading_age"  # differs from page to page
INFOS = ("gpu_info", "gpu_mig_info", "gpu_fabric_info", "gpu_vgpu_info")

Values = Mapping[str, float]


@dataclass(frozen=True)
class Page:
    """What is on one page, by series as it is written, with the snapshot that it was made of."""

    snapshot: Snapshot
    values: Values

    @cached_property
    def devices(self) -> Mapping[str, Values]:
        """The values of each device, apart from its age."""
        grouped: dict[str, dict[str, float]] = {}
        for series, value in self.values.items():
            if (found := _DEVICE.search(series)) and not series.startswith(_PASSING):
                grouped.setdefault(found[1], {})[series] = value
        return grouped

    def of(self, *devices: str) -> dict[str, float]:
        """Give the values of some devices."""
        return {series: value for device in devices for series, value in self.devices.get(device, {}).items()}

    @property
    def engine(self) -> dict[str, float]:
        """Give the engine's values."""
        return {series: value for series, value in self.values.items() if series.startswith("inference_")}

    @property
    def age(self) -> float:
        """How long ago the patient answered; 0 where it did just now, and where it is not known."""
        ages = [v for k, v in self.values.items() if k.startswith("gpu_reading_age") and f'hw_id="{PATIENT}"' in k]
        return max(ages, default=0.0)

    @property
    def silent(self) -> bool:
        """Tell whether nothing is read of the patient."""
        return not any(series.startswith("gpu_performance_state") for series in self.of(PATIENT))

    @property
    def trouble(self) -> str:
        """Why the GPUs are not read at all; empty where they are."""
        return next(
            (f"{s.reason}: {s.message}" for s in self.snapshot.sources if s.source == "nvidia" and not s.up), ""
        )

    @property
    def complaints(self) -> set[str]:
        """The calls that failed, or were refused."""
        return {told.call for told in (*self.snapshot.failed, *self.snapshot.unsupported)}


class Ward:
    """The pipeline and its driver. Each page that it makes is checked for what no fault may do."""

    def __init__(
        self, directory: Path, library: Path, engine: str, *, deadline: float = 5.0, kill_after: float = 60.0
    ) -> None:
        self.library = directory / "libnvidia-ml.so.1"
        self._whole_library = library
        self.library.symlink_to(library)
        self.text = directory / "node.txt"
        self.scene = Scene()
        self.has_less = False
        self.pages: list[Page] = []  # since the driver's answers changed
        self._pause = Pause()
        often = Seconds(0.1)
        nvidia = Nvidia(
            library=str(self.library),
            deadline=Seconds(deadline),
            kill_after=Seconds(kill_after),
            medium_period=often,
            slow_period=often,
            process_series=True,
        )
        config = Config(
            period=Seconds(PERIOD),
            devices=Devices(nvidia=nvidia, kernel_log=KernelLog(enabled=False)),
            identity=_nobody(),
            engines=Engines(targets=(TargetConfig(url=engine),)),
            # What earlier patients leave behind is soon gone: pages stay short.
            accounting=Accounting(linger=Seconds(1.0), max_ended=100),
        )
        self.scene.node().write(self.text)
        self._pipeline = Pipeline(config, {}, pause=self._pause)
        self._exposition = Exposition()
        self._counters: Values = {}
        self._stepped = 0.0
        self.admit("whole")

    def close(self) -> None:
        """End everything."""
        self._pipeline.close()

    def is_now(self, *faults: Fault, trace: bool = False, another: str = "") -> None:
        """Change what the driver answers; with another patient, of a kind, that was never there before."""
        if another:
            self.scene = replace(self.scene, kind=another, number=self.scene.number + 1)
            self._counters = {
                series: value for series, value in self._counters.items() if not _is_of(series, PATIENT, SLICE, VGPU)
            }
        self.pages = []
        self.scene.node(*faults, trace=trace).write(self.text)

    def admit(self, kind: str) -> None:
        """Have another patient of a kind, in health, and learn what is true of it."""
        self.is_now(another=kind)
        self.truth, _ = self.until(lambda page: _is_settled(self.pages))

    def lacks(self, *symbols: str) -> None:
        """Have a library without some symbols, as an old driver's; it is loaded at the next restart."""
        self.library.unlink()
        self.has_less = bool(symbols)
        if symbols:
            build(self.library.parent, without=symbols)
        else:
            self.library.symlink_to(self._whole_library)

    def restart(self) -> None:
        """Have the driver let go of, to be opened anew: what is called only then is called."""

        def is_left_alone(page: Page) -> bool:
            if page.trouble.startswith(Reason.RELEASED):
                return True
            self._pause.begin("the test says so", 0.3)
            return False

        self.until(is_left_alone)

    def until(self, holds: Callable[[Page], bool], seconds: float = 60.0) -> tuple[Page, int]:
        """Step until a page is as wanted; give it, and how many periods that took."""
        end = time.monotonic() + seconds
        for count in range(1, 10_000):
            page = self.step()
            if holds(page):
                return page, count
            assert time.monotonic() < end, f"in vain: {page.trouble}; {sorted(self._lacking(page))}; {page.complaints}"
        raise AssertionError

    def step(self) -> Page:
        """Make the next page, of what all sources say now: a period passes."""
        time.sleep(max(0.0, self._stepped + _APART - time.monotonic()))
        for key in self._pipeline._poller.keys:
            self._pipeline._poller.hurry(key)
        snapshot = self._pipeline.step(patience=20.0)
        self._stepped = time.monotonic()
        page = Page(snapshot, self._read(self._exposition.render(snapshot, openmetrics=False).decode()))
        counters = {series: value for series, value in page.values.items() if "_total{" in series}
        fallen = {s: (self._counters[s], v) for s, v in counters.items() if v < self._counters.get(s, 0.0)}
        assert not fallen, f"counters fell: {fallen}"
        self._counters = {**self._counters, **counters}
        self.pages.append(page)
        return page

    def _read(self, text: str) -> Values:
        for name, called in self.scene.names:
            text = text.replace(f'"{name}"', f'"{called}"')
        lines = (
            line.rpartition(" ") for line in text.splitlines() if not line.startswith("#") and not _FORMER.search(line)
        )
        return {series: float(value) for series, _, value in lines}

    def wrong(self, page: Page) -> list[str]:
        """Say what is on a page and is not true: a value that differs, a label that does, a device that is none."""
        truth = self.truth.values
        told = []
        for series, value in page.values.items() - truth.items():
            found = _DEVICE.search(series)
            if found is None or series.startswith(_FREE):
                continue
            if series.startswith(INFOS) and found[0] in _labels_of(truth, series):
                told += [f"{series}: {pair}" for pair in _labels(series) - _labels_of(truth, series)]
            else:
                told.append(f"{series} {value} instead of {truth.get(series)}")
        return told

    everyone = (PATIENT, SLICE, VGPU, *WITNESSES)

    def _lacking(self, page: Page) -> set[str]:
        return names(self.missing(page, *self.everyone)) if hasattr(self, "truth") else set()

    def missing(self, page: Page, *devices: str) -> set[str]:
        """Give the series of devices that are not on a page with their true number."""
        nothing: Values = {}
        pairs = ((self.truth.devices.get(one, nothing), page.devices.get(one, nothing)) for one in devices)
        return {series for true, now in pairs for series, _ in true.items() - now.items()}


def _is_of(series: str, *devices: str) -> bool:
    return (found := _DEVICE.search(series)) is not None and found[1] in devices


_FREE = ("hw_status", "gpu_health", _PASSING)


def _labels(series: str) -> set[str]:
    return set(re.findall(r'\w+="[^"]*"', series))


def _labels_of(truth: Values, series: str) -> set[str]:
    name = series.partition("{")[0]
    return {pair for other in truth if other.startswith(name + "{") for pair in _labels(other)}


def _is_settled(pages: list[Page]) -> bool:
    """Tell whether three pages in a row say the same of everything, of which nothing is spared for an earlier crash."""
    first, *others = [page.of(*Ward.everyone) for page in pages[-3:]]
    spared = any(told.reason == PAUSED for told in pages[-1].snapshot.failed)
    return len(others) == 2 and all(other == first for other in others) and not pages[-1].silent and not spared


def _nobody() -> Identity:
    """Have no kubelet and no API server."""
    plain = Identity()
    return replace(
        plain, podresources=replace(plain.podresources, enabled=False), pods=replace(plain.pods, source="off")
    )


def names(series: Iterable[str]) -> set[str]:
    """Give the metrics of series."""
    return {one.partition("{")[0] for one in series}
