# SPDX-License-Identifier: Apache-2.0
"""The simulated node: a world, the kubelet, API server, engines and GPU registers that show it, and the clock that moves it."""

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from inferometer.simulation import kernel_log, page, scenario
from inferometer.simulation.apiserver import ApiServer
from inferometer.simulation.directory import make_directory
from inferometer.simulation.kernel_log import KernelLog
from inferometer.simulation.kubelet import Kubelet
from inferometer.simulation.ledger import Ledger
from inferometer.simulation.objects import claim_object, pod_object
from inferometer.simulation.readout import read_out
from inferometer.simulation.registers import Writer
from inferometer.simulation.web import Exchange, Web
from inferometer.simulation.world import LivePod, World

T = TypeVar("T")

_CATCH_UP = 50  # steps at most that are made up for at once, after the machine slept


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the node is to be read. Engines are not given: they are discovered from the pods.

    `nvml_module` stands in for `pynvml` in the sampler child, and `nvml_argument` is what its `configure` takes.
    """

    kubelet_socket: str
    api_server: str
    node_name: str
    nvml_module: str
    nvml_argument: str
    kernel_log: str


class SimulatedNode:
    """A node of eight GPUs that serves six models, at its outermost boundary.

    Args:
        seed: of every random choice; the same seed gives the same pages, except times.
        speed: simulated seconds per second.
        step: simulated seconds of one step, at least a millisecond.
        warm_up: simulated seconds that have passed before `start` returns.
    """

    def __init__(self, *, seed: int = 1, speed: float = 1.0, step: float = 0.1, warm_up: float = 30.0) -> None:
        self._world = World(seed, max(1, round(step * 1000)))
        self._speed = speed
        self._warm_up = warm_up
        self._lock = threading.RLock()
        self._paused = threading.Event()
        self._stopping = threading.Event()
        self._started = False
        self._undo = ExitStack()

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Endpoints:
        """Start everything. Raises RuntimeError if it was started before."""
        if self._started:
            raise RuntimeError("a simulated node starts once")
        self._started = True
        with ExitStack() as undo:  # what is begun is ended again, here if a later part fails, else by `stop`
            directory = make_directory()
            undo.callback(shutil.rmtree, directory)
            self._registers = Writer(directory / "registers")
            undo.callback(self._registers.close)
            undo.callback(self.unload_driver)
            self._kernel_log = KernelLog(directory / "kmsg")
            undo.callback(self._kernel_log.close)
            self._web = Web()
            self._api = ApiServer(lambda: self._read(self._pod_objects), lambda: self._read(self._claim_objects))
            undo.callback(self._web.stop)
            undo.callback(self._api.hang_up)
            undo.callback(self._web.stopped.set)
            self._begin_scenario()
            self._kubelet = Kubelet(directory / "kubelet.sock", self._read)
            undo.callback(self._kubelet.stop)
            self._kubelet.start()
            self.endpoints = Endpoints(
                kubelet_socket=str(directory / "kubelet.sock"),
                api_server=f"http://127.0.0.1:{self._web.open(self._api.answer)}",
                node_name=scenario.NODE,
                nvml_module="inferometer.simulation.nvml",
                nvml_argument=str(directory / "registers"),
                kernel_log=str(directory / "kmsg"),
            )
            clock = threading.Thread(target=self._run, name="simulated clock", daemon=True)
            clock.start()
            undo.callback(clock.join, 5)
            undo.callback(self._stopping.set)
            self._undo = undo.pop_all()
        return self.endpoints

    def stop(self) -> None:
        """Stop everything and leave nothing behind. The GPUs' driver is then gone, and says so."""
        self._undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- time -----------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop the clock; nothing moves after this returns, but by `advance` and by what is made to happen."""
        with self._lock:
            self._paused.set()

    def resume(self) -> None:
        """Let the clock go on from here."""
        self._paused.clear()

    def advance(self, seconds: float) -> None:
        """Let simulated time pass at once, in whole steps."""
        with self._lock:
            if steps := round(seconds * 1000 / self._world.step):
                self._world.advance(steps)
            self._publish()

    def ledger(self) -> Ledger:
        """The books as of now; while the node is paused, what every output must agree with."""
        with self._lock:
            return self._world.ledger()

    # --- what can happen ------------------------------------------------------------------------------------------

    def pod_dies(self, key: str) -> None:
        """End a pod, by its key in the scenario: its engine, its holdings and its memory go with it. Raises KeyError."""
        with self._lock:
            pod = self._world.end(key)
            if pod.port and pod.up:
                self._web.close(pod.port)
            self._api.record("DELETED", pod_object(self._world, pod, self._api.next_version()))
            self._publish()

    def pod_starts(self, key: str) -> str:
        """Start a pod of the scenario that does not run: the same name with a new UID, which it returns."""
        with self._lock:
            pod = self._begin(key, time.time())
            self._publish()
            return pod.uid

    def engine_down(self, key: str) -> None:
        """Refuse connections to an engine's endpoint; the engine itself goes on. Raises KeyError."""
        with self._lock:
            pod = self._world.pods[key]
            if pod.up:
                pod.up = False
                self._web.close(pod.port)

    def engine_up(self, key: str) -> None:
        """Serve an engine's endpoint again, on the same port. Raises KeyError."""
        with self._lock:
            pod = self._world.pods[key]
            if not pod.up:
                self._web.open(self._site(pod), pod.port)
                pod.up = True

    def gpu_lost(self, index: int, *, lost: bool = True) -> None:
        """Let a GPU fall off the bus, or bring it back."""
        with self._lock:
            self._world.gpus[index].lost = lost
            self._publish()

    def xid(self, index: int, code: int) -> None:
        """Let the driver report an XID of a GPU: in the kernel's log, and by NVML to whoever is registered for it now."""
        with self._lock:
            self._world.gpus[index].fail(code)
            self._kernel_log.say(kernel_log.xid(self._world.gpus[index].spec.bus, code))
            self._publish()

    def ecc_error(self, index: int, kind: str = "uncorrected", location: str = "dram", *, count: int = 1) -> None:
        """Let ECC find errors: `corrected` or `uncorrected`, in `dram` or `sram`. Raises ValueError."""
        with self._lock:
            self._world.gpus[index].health.count_error(kind, location, count)
            self._publish()

    def remap_row(self, index: int, kind: str = "uncorrected", *, pending: bool = True, failed: bool = False) -> None:
        """Let a row of a GPU's memory be remapped: at the next reset if it is pending. Raises ValueError."""
        with self._lock:
            self._world.gpus[index].health.remap_row(kind, pending=pending, failed=failed)
            self._publish()

    def recovery_action(self, index: int, action: str) -> None:
        """Let the driver say what is to be done with a GPU: `none`, `gpu_reset`, `node_reboot` and so on. Raises ValueError."""
        with self._lock:
            self._world.gpus[index].health.recommend(action)
            self._publish()

    def nvlink(self, index: int, link: int, *, up: bool = False) -> None:
        """Take an NVLink of a GPU down, or up again. Raises ValueError."""
        with self._lock:
            self._world.gpus[index].health.link(link, up=up)
            self._publish()

    def reset_gpu(self, index: int) -> None:
        """Reset a GPU: what waited for that is done."""
        with self._lock:
            self._world.gpus[index].health.reset()
            self._publish()

    def hang_gpu(self, index: int, *, hung: bool = True) -> None:
        """Let every driver call on a GPU hang, or let them return again."""
        with self._lock:
            self._world.gpus[index].hung = hung
            self._publish()

    def unload_driver(self) -> None:
        """Take the driver away."""
        with self._lock:
            self._world.driver_loaded = False
            self._publish()

    def load_driver(self) -> None:
        """Bring the driver back."""
        with self._lock:
            self._world.driver_loaded = True
            self._publish()

    def kubelet_down(self) -> None:
        """Stop the kubelet: its socket goes away."""
        self._kubelet.stop()

    def replace_kubelet_socket(self) -> None:
        """Start the kubelet again, or for the first time after `kubelet_down`: a new socket at the same path."""
        self._kubelet.stop()
        self._kubelet.start()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Step the world as time passes."""
        seconds = self._world.step / 1000 / self._speed
        due = time.monotonic() + seconds
        while not self._stopping.wait(max(0.001, due - time.monotonic())):
            with self._lock:
                steps = min(int((time.monotonic() - due) / seconds) + 1, _CATCH_UP)
                if not self._paused.is_set():
                    self._world.advance(steps)
                    self._publish()
            due = max(due + steps * seconds, time.monotonic() - seconds)

    def _begin_scenario(self) -> None:
        """Start the pods that are there at first, and let the warm-up pass."""
        created = time.time() - self._warm_up
        with self._lock:
            for spec in scenario.PODS:
                if spec.started:
                    self._begin(spec.key, created)
            self.advance(self._warm_up)

    def _begin(self, key: str, created: float) -> LivePod:
        pod = self._world.start(key, created)
        if pod.engine:
            pod.port = self._web.open(self._site(pod))
        self._api.record("ADDED", pod_object(self._world, pod, self._api.next_version()))
        return pod

    def _site(self, pod: LivePod) -> Callable[[Exchange], None]:
        """The HTTP endpoint of a pod's engine."""
        engine = pod.engine
        if engine is None:
            raise ValueError(f"{pod.spec.key} has no engine")

        def answer(exchange: Exchange) -> None:
            if exchange.route == "/metrics":
                body = self._read(lambda world: page.render(engine, pod.created, world.now - pod.began))
                exchange.reply(200, body, page.CONTENT_TYPE)
            elif exchange.route in {"/health", "/ping"}:
                exchange.reply(200, b"", "text/plain")
            elif exchange.route == "/version":
                exchange.reply_json(200, {"version": "0.32.0+simulated"})
            else:
                exchange.reply_json(404, {"detail": "Not Found"})

        return answer

    def _read(self, view: Callable[[World], T]) -> T:
        with self._lock:
            return view(self._world)

    def _publish(self) -> None:
        self._registers.write(read_out(self._world))

    def _pod_objects(self, world: World) -> list[dict[str, Any]]:
        return [pod_object(world, pod, self._api.version) for pod in world.pods.values()]

    def _claim_objects(self, world: World) -> list[dict[str, Any]]:
        in_use = {key for pod in world.pods.values() for c in pod.spec.containers for key in c.claims}
        return [claim_object(world, claim, self._api.version) for key, claim in world.claims.items() if key in in_use]
