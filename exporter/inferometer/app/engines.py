# SPDX-License-Identifier: Apache-2.0
"""The engines that are scraped: they come and go with the pods that announce them."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from inferometer import config
from inferometer.board import Poller
from inferometer.credentials import Tls
from inferometer.model import Pod, Target
from inferometer.sources.engines.access import Access, accesses
from inferometer.sources.engines.discovery import Refusal, discover
from inferometer.sources.engines.scrape import Engine

log = logging.getLogger(__name__)


class Engines:
    """Keeps the poller's engines as the configuration and this node's pods say. For the tick's thread."""

    def __init__(self, settings: config.Engines, poller: Poller, period: float) -> None:
        self._settings = settings
        self._poller = poller
        self._period = period
        self._access = accesses(settings.credentials)
        self._open = Access(config.Credentials(), Tls())  # one for all: the system's certificates are a megabyte
        for access in self._access.values():
            if access.entry.insecure_tls:
                log.warning("the credentials %r are shown to whoever answers: insecure_tls is set", access.entry.name)
        self._pods: tuple[Pod, ...] | None = None
        self._engines: Mapping[str, tuple[Target, Engine]] = MappingProxyType({})
        self._targets: Mapping[str, Target] = MappingProxyType({})
        self._refused: frozenset[Refusal] = frozenset()
        self._dropped = 0
        self._spared = 0  # by those that are polled, when somebody last asked
        self.follow(())

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The engines that are announced and not scraped, by place."""
        return tuple(sorted(self._refused))

    @property
    def targets(self) -> Mapping[str, Target]:
        """The endpoints that are scraped, by instance."""
        return self._targets

    @property
    def told(self) -> Mapping[str, str]:
        """Say of each engine how it was found, and what it is asked with."""
        return {instance: _told(target, self._access) for instance, (target, _) in self._engines.items()}

    @property
    def dropped(self) -> int:
        """How many engines there are beyond `engines.max_targets`."""
        return self._dropped

    def newly_spared(self) -> int:
        """Count the scrapes that were left out for their engines' sake since this was asked before."""
        before, self._spared = self._spared, sum(engine.spared for _, engine in self._engines.values())
        return max(0, self._spared - before)

    def follow(self, pods: tuple[Pod, ...] | None) -> bool:
        """Poll the engines that came, forget those that went. Gives whether any came.

        While pods cannot be read the engines found before stay: a blind moment is not their end.
        """
        if pods is None or pods is self._pods or not self._settings.enabled:
            return False
        self._pods = pods
        found = discover(self._settings, pods)
        self._dropped = found.dropped
        self._tell(frozenset(found.refused))
        kept = {t.instance: self._engines[t.instance] for t in found.targets if self._is_polled(t)}
        for instance, (_, engine) in self._engines.items():
            if instance not in kept:
                self._spared -= engine.spared
                engine.hang_up()  # before the next one to the same address asks
                self._poller.remove((engine.name, instance))
        came = {t.instance: (t, self._make(t)) for t in found.targets if t.instance not in kept}
        self._engines = MappingProxyType({**kept, **came})
        self._targets = MappingProxyType({name: target for name, (target, _) in self._engines.items()})
        for _, engine in came.values():
            self._poller.add(engine)
        return bool(came)

    def hang_up(self) -> None:
        """End all scrapes that are under way."""
        for _, engine in self._engines.values():
            engine.hang_up()

    def _is_polled(self, target: Target) -> bool:
        polled = self._engines.get(target.instance)
        return polled is not None and polled[0] == target

    def _make(self, target: Target) -> Engine:
        return Engine(target, self._settings, self._period, self._access.get(target.credentials, self._open))

    def _tell(self, refused: frozenset[Refusal]) -> None:
        """Log what is newly refused; what only looks like an engine is no warning."""
        for refusal in sorted(refused - self._refused):
            level = logging.INFO if refusal.doubtful else logging.WARNING
            log.log(level, "%s is not scraped: %s", refusal.place, refusal.reason)
        self._refused = refused


def _told(target: Target, access: Mapping[str, Access]) -> str:
    how = f"found by {target.found}"
    if target.credentials:
        how += f", asked with the credentials {target.credentials!r}"
        if access[target.credentials].entry.insecure_tls and target.url.lower().startswith("https:"):
            how += ", its certificate is not looked at"
    return how
