# SPDX-License-Identifier: Apache-2.0
"""The agent: the pipeline on its clock, with its outputs and its health."""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from inferometer.accounting import State
from inferometer.app.endpoint import is_moved, make_server
from inferometer.app.outputs import Window, forms
from inferometer.app.pipeline import FIRST_PATIENCE, REAL, Pipeline, Stand, node_name
from inferometer.app.succession import bequeath, inherit
from inferometer.config import Config, ConfigError, load
from inferometer.model import Snapshot, SpoolState, Trouble
from inferometer.push import Push
from inferometer.server import Published, Server, Tally
from inferometer.sources.devices.release import Pause
from inferometer.sources.identity.traffic import Traffic
from inferometer.views.otlp import Encoder

log = logging.getLogger(__name__)

OnSnapshot = Callable[[Snapshot | None, Snapshot], None]
OnConfig = Callable[[Config], None]
Adapt = Callable[[Config], Config]

_STACK = 512 * 1024  # a reader's thread needs little; 8 MiB of address space for each frightens limit tools
_STUCK = 30.0  # seconds past its time after which a tick has hung and the process no longer works
_LAST_TICK = 1.5  # seconds to wait for the tick in progress, and then
_LAST_FLUSH = 2.0  # seconds for the last push, and then
_LAST_WRITE = 1.0  # seconds to leave the counters to the next agent: SIGTERM ends within 5
_SWITCH = 0.001  # seconds that a tick's computing may hold up a scrape: p99 is 3 ms with it, 15 ms at Python's default


class Agent:
    """Runs from `start` to `stop`.

    In the tick's thread `on_snapshot` is told of every snapshot and the one before, `on_config` of every configuration
    that was read again and is used. `adapt` is what was done to the configuration for `stand`, and is done to those too.
    """

    def __init__(
        self,
        config: Config,
        *,
        environ: Mapping[str, str],
        config_path: str | None = None,
        stand: Stand = REAL,
        adapt: Adapt | None = None,
        on_snapshot: OnSnapshot | None = None,
        on_config: OnConfig | None = None,
    ) -> None:
        self._config = config
        self._config_path = config_path
        self._environ = environ
        self._stand = stand
        self._adapt = adapt
        self._on_snapshot = on_snapshot
        self._on_config = on_config
        self._window = Window()
        self._published = Published(forms(self._window, config.server))
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._pause = Pause()  # of the driver; it outlives a configuration
        self._traffic = Traffic(config.period)  # so does this
        self._due = time.monotonic()  # when the tick in progress began, or the next one is to
        self._tally = Tally()  # and this
        self._server = self._make_server(config, self._published)
        self._encoder = Encoder()
        self._oversized = 0  # points that the encoder had dropped at the last tick
        self._push = self._make_push(config)
        self._exports: Mapping[str, int] = {}  # of pushes under earlier configurations
        self._lost: Mapping[str, tuple[int, int]] = {}  # requests and points that their spools dropped
        self._state: State | None = None  # of the counters, at the newest snapshot
        self._thread = threading.Thread(target=self._work, name="tick", daemon=True)

    def start(self) -> None:
        """Listen and begin to tick. Raises Trouble if the address cannot be had."""
        threading.stack_size(_STACK)
        sys.setswitchinterval(_SWITCH)
        self._server.start()
        self._push.start()
        self._thread.start()
        log.info("listening on %s", self._server.url)

    def stop(self) -> None:
        """End within a few seconds, after a last push; then nothing is told any more, and the counters are written down."""
        self._stop.set()
        self._thread.join(_LAST_TICK)
        self._push.close(_LAST_FLUSH)
        self._server.close()
        bequeath(self._config.accounting.state, self._node(), self._state, _LAST_WRITE)

    def reload(self) -> None:
        """Read the configuration again before the next tick; a bad one is logged and changes nothing."""
        self._reload.set()

    def release(self) -> None:
        """Let go of the driver within a second, for as long as the configuration says."""
        devices = self._config.devices
        if devices.nvidia.enabled or devices.amd.enabled:
            self._pause.begin("SIGUSR1 was sent", devices.nvidia.release.pause)
        else:
            log.info("SIGUSR1 has no effect: devices.nvidia is switched off")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the agent is stopped, or the timeout; give whether it is."""
        return self._stop.wait(timeout)

    @property
    def url(self) -> str:
        """Where the endpoint listens, once started."""
        return self._server.url

    @property
    def newest(self) -> Snapshot | None:
        """The newest snapshot."""
        return self._published.newest

    def _node(self) -> str:
        return node_name(self._config, self._environ)

    def _alive(self) -> tuple[bool, str]:
        late = time.monotonic() - self._due - self._config.period
        if late > _STUCK:
            return False, f"no tick for {late:.0f} s: the process no longer works"
        return True, "ok"

    def _make_server(self, config: Config, published: Published) -> Server:
        return make_server(config, self._environ, published, self._alive, self._tally, self._traffic)

    def _make_push(self, config: Config) -> Push:
        return Push(config.otlp, self._environ, self._encoder.requests, lambda: self._published.newest)

    def _work(self) -> None:
        self._state = inherit(self._config.accounting.state, self._node())
        pipeline = Pipeline(self._config, self._environ, self._stand, self._state, self._pause, self._traffic)
        patience: float | None = FIRST_PATIENCE
        try:
            self._due = time.monotonic()
            while not self._stop.is_set():
                if self._reload.is_set():
                    self._reload.clear()
                    pipeline = self._reconfigure(pipeline)
                    patience = FIRST_PATIENCE
                self._tick(pipeline, patience)
                patience = None
                # A tick that took longer than its period is followed by the next on the grid, not by a burst.
                now, period = time.monotonic(), self._config.period
                self._due += period * (1 + max(0, int((now - self._due) / period)))
                self._stop.wait(max(0.0, self._due - now))
        finally:
            pipeline.close()

    def _tick(self, pipeline: Pipeline, patience: float | None) -> None:
        try:
            snapshot = pipeline.step(
                patience=patience,
                exports=self._all_exports(),
                dropped=self._dropped(),
                refusals=self._tally.refusals,
                unusable=self._tally.files,
                spool=self._spool(),
            )
        except Exception:
            log.exception("a defect of ours: this tick has no snapshot")
            return
        self._state = pipeline.state
        before = self._window.take(snapshot)
        self._published.publish(snapshot)
        if self._on_snapshot:
            self._on_snapshot(before, snapshot)

    def _reconfigure(self, pipeline: Pipeline) -> Pipeline:
        """Make a new pipeline and new outputs from the configuration as it is now; counters go on."""
        try:
            config = load(self._config_path, self._environ)
        except ConfigError as error:
            log.error("the new configuration is refused, the old one stays: %s", error)  # noqa: TRY400  # no defect
            return pipeline
        if self._adapt:
            config = self._adapt(config)
        if is_moved(self._config, config) and not self._move(config):
            return pipeline
        if config.otlp != self._config.otlp:
            self._push.close(_LAST_FLUSH)
            self._exports, self._lost = self._all_exports(), self._all_lost()
            left = self._push.leave()
            self._push = self._make_push(config)
            self._push.follow(left)
            self._push.start()
        pipeline.close()
        self._config = config
        if self._on_config:
            self._on_config(config)
        log.info("configuration read again")
        return Pipeline(config, self._environ, self._stand, pipeline.state, self._pause, self._traffic)

    def _move(self, config: Config) -> bool:
        """Listen as the new configuration says; if that cannot be, go on as before."""
        published = Published(forms(self._window, config.server))
        if self._published.newest:
            published.publish(self._published.newest)
        old = self._server
        in_the_way = _port(config) == _port(self._config) != "0"  # 0.0.0.0:9466 is taken while 127.0.0.1:9466 is
        closed = False
        try:
            server = self._make_server(config, published)
            server.prepare()
            if in_the_way:
                old.close()
                closed = True
            server.start()
        except Trouble as trouble:
            if closed:
                self._listen_again()
            log.error("the new configuration is refused, the old one stays: %s", trouble.told())  # noqa: TRY400  # no defect
            return False
        self._server, self._published = server, published
        old.close()
        return True

    def _listen_again(self) -> None:
        self._server = self._make_server(self._config, self._published)
        try:
            self._server.start()
        except Trouble as trouble:  # somebody else was faster
            log.error("%s", trouble.told())  # noqa: TRY400  # no defect

    def _dropped(self) -> Mapping[str, int]:
        """Count the points that no request could hold since the last tick."""
        before, self._oversized = self._oversized, self._encoder.oversized
        return {"otlp_point": self._oversized - before}

    def _all_exports(self) -> Mapping[str, int]:
        """Count the pushes since the start, those of earlier configurations too."""
        return dict(Counter(self._exports) + Counter(self._push.outcomes))

    def _spool(self) -> SpoolState | None:
        """Say what waits to be pushed, with all that was dropped since the start."""
        state = self._push.spool
        return state and state._replace(dropped=self._all_lost())

    def _all_lost(self) -> Mapping[str, tuple[int, int]]:
        """Count what spools dropped since the start, those of earlier configurations too."""
        lost = dict(self._lost)
        state = self._push.spool
        for reason, (requests, points) in state.dropped.items() if state else ():
            before = lost.get(reason, (0, 0))
            lost[reason] = (before[0] + requests, before[1] + points)
        return lost


def _port(config: Config) -> str:
    return config.server.listen.rpartition(":")[2]
