# SPDX-License-Identifier: Apache-2.0
"""A real vLLM 0.32.0 on the CPU, with a tiny model of random weights and an adapter that changes nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

from live.processes import Running, await_ready, free_port, get, spawn
from live.tinymodel import write_adapter, write_model

ENVIRONMENT = Path(__file__).parents[2] / ".venv-vllm"
MODEL = "tiny"
ADAPTER = "helper"

_START_TIMEOUT = 600.0  # 30 s for one engine on an idle machine, 80 s for two
# What a CPU needs: blocks of 32, since the default of 128 hides hits of the prefix cache; no compilation for so few tokens.
_PLAIN = ("--enforce-eager", "--dtype", "bfloat16", "--max-model-len", "4000", "--block-size", "32")


class Vllm(Running):
    """A running server; a context manager. `options` are further ones of its command line."""

    def __init__(self, directory: Path, options: tuple[str, ...]) -> None:
        super().__init__()
        self._directory = directory
        self._options = options
        self._sockets = TemporaryDirectory(
            prefix="vllm.", dir="/tmp"
        )  # a socket's path is short, a test's folder is not
        self.url = ""

    def page(self) -> bytes:
        """Its metrics page."""
        return get(f"{self.url}/metrics")

    def stop(self) -> None:
        """End it with all its processes; safe to call twice."""
        super().stop()
        self._sockets.cleanup()

    def _start(self) -> None:
        directory = self._directory
        scratch = directory / "tmp"
        scratch.mkdir(parents=True)
        model, adapter = write_model(directory / "model"), write_adapter(directory / "adapter")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = [option.format(adapter=adapter) for option in self._options]
        command: tuple[str | Path, ...] = (
            *(ENVIRONMENT / "bin" / "python", "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", model, "--served-model-name", MODEL, "--load-format", "dummy"),
            *("--host", "127.0.0.1", "--port", str(port), *_PLAIN, *options),
        )
        environment = {
            "HOME": str(directory),
            "TMPDIR": str(scratch),
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_RPC_BASE_PATH": self._sockets.name,
            # Its server looks at connections between two requests' tokens, and not only when it has no more to hand on.
            "VLLM_V1_OUTPUT_PROC_CHUNK_SIZE": "1",
            "VLLM_HOST_IP": "127.0.0.1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        self._processes.append(spawn(command, directory / "vllm.log", environment))
        await_ready(self._is_healthy, self._processes, directory, _START_TIMEOUT)

    def _is_healthy(self) -> bool:
        get(f"{self.url}/health")
        return True


def is_installed() -> bool:
    """Whether `make setup-engines` has been run."""
    return (ENVIRONMENT / "bin" / "python").exists()
