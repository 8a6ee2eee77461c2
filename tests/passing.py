# SPDX-License-Identifier: Apache-2.0
"""A node whose engines have their families passed on, from pages to snapshots, without a network."""

from dataclasses import replace

from frames import CONTEXT, frames
from inferometer.accounting import Budget, Rules, State, account, cap
from inferometer.config import Passthrough
from inferometer.join import Context, join
from inferometer.model import EngineReport, Pod, Snapshot, Target
from inferometer.sources.engines.reader import Reader

RULES = Rules(linger=60.0)


class Node:
    """A node whose engines have everything passed on."""

    def __init__(self, context: Context = CONTEXT, limits: Budget | None = None) -> None:
        self._context = context
        self._limits = limits or Budget()
        self._readers: dict[str, Reader] = {}
        self._passed = 0.0
        self._sequence = 0
        self.state = State()

    def step(self, *, passed: float = 5.0, **pages: str) -> Snapshot:
        """Scrape some engines, by the names of their pods, `passed` seconds after the step before."""
        self._passed += passed
        reports = [self._read(name, page) for name, page in pages.items()]
        pods = [Pod(f"uid-{name}", "llm", name, phase="Running") for name in pages]
        self._sequence += 1
        seen = frames(engines=reports, pods=pods, passed=self._passed)
        seen = replace(seen, good=tuple([replace(frame, sequence=self._sequence) for frame in seen.good]))
        self.state, bounded = cap(self.state, seen, RULES)
        self.state, snapshot = account(self.state, join(bounded, self._context), RULES, self._limits)
        return snapshot

    def _read(self, name: str, page: str) -> EngineReport:
        target = Target(
            f"llm/{name}:8000", "http://10.0.0.1:8000/metrics", namespace="llm", pod=name, pod_uid=f"uid-{name}"
        )
        reader = self._readers.setdefault(name, Reader(target, passthrough=Passthrough(allow=("*",))))
        return reader.read(page.encode())
