# SPDX-License-Identifier: Apache-2.0
"""What a running agent loads: third-party packages are bytes on every node, and the driver's library belongs to the child."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec

import pytest

from kubelet.podresources import Kubelet, always

# gRPC for the kubelet's socket and OTLP, ISA-L for what is compressed, PyYAML for the configuration; typing_extensions comes
# with gRPC. Protobuf is for the kubelet's Pods API alone.
AGENT = {"grpc", "isal", "typing_extensions", "yaml"}
# The driver's library, in the child alone.
SAMPLER = {"pynvml"}
# What `--version` costs: nothing but Python.
COMMAND: set[str] = set()

_IMPORT = re.compile(
    r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", re.MULTILINE
)  # `python -X importtime`, one line per module

CONFIGURATION = """\
server: {{listen: "127.0.0.1:{port}"}}
identity:
  podresources: {{socket: "{socket}"}}
otlp: {{endpoint: "http://127.0.0.1:9", protocol: grpc, interval: 200ms, timeout: 200ms}}
"""


def third_party(imports: str) -> set[str]:
    """The top-level packages of an import log that neither Python nor this project brings, nor the environment's own start."""
    bare = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", ""], capture_output=True, text=True, check=True, timeout=60
    )
    known = (
        sys.stdlib_module_names
        | {"inferometer", "__main__"}
        | {name.split(".")[0] for name in _IMPORT.findall(bare.stderr)}
    )
    tried = {
        name.split(".")[0] for name in _IMPORT.findall(imports)
    } - known  # Python's own pickle tries one of Jython's
    return {name for name in tried if find_spec(name)}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    """Wait until the agent's first snapshot is complete."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the agent was not ready")


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that an agent imported from its start to its end, with every source and both outputs on."""
    directory = tmp_path_factory.mktemp("agent")
    port = free_port()
    socket_path = directory / "kubelet.sock"
    configuration = directory / "inferometer.yaml"
    configuration.write_text(CONFIGURATION.format(port=port, socket=socket_path), encoding="utf-8")
    log = directory / "log"
    command = (sys.executable, "-X", "importtime", "-m", "inferometer", "run", "--config", str(configuration))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("INFEROMETER_", "OTEL_", "KUBERNETES_", "COLUMNS"))  # nor a terminal's width, in a pod
    }
    with Kubelet(socket_path, always(b"")), log.open("wb") as output:  # an empty list: nobody holds anything
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            await_ready(port, process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    return log.read_text(encoding="utf-8", errors="replace")


def test_the_agent_loads_the_pinned_packages_only(imports: str) -> None:
    """A running agent holds gRPC, ISA-L and YAML: no protobuf, no Kubernetes client, no SDK, no Prometheus library, no NVML."""
    assert third_party(imports) - {"grpc_tools"} == AGENT  # which gRPC loads by itself where it is installed


def test_the_agent_loads_nothing_that_few_need(imports: str) -> None:
    """What only a mistake, a rare engine or a hidden name needs is loaded then: each costs every node 0.1 to 0.4 MiB."""
    assert not {"bz2", "decimal", "difflib", "lzma", "uuid"} & set(_IMPORT.findall(imports))


def test_the_child_loads_the_drivers_library_only() -> None:
    """The sampler imports the standard library and `pynvml`, so that it stays small and nothing else can break it."""
    module = "inferometer.sources.devices.sampler"
    code = f"import {module}, inferometer.sources.devices.nvml, pynvml"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert third_party(done.stderr) == SAMPLER
    ours = {name for name in _IMPORT.findall(done.stderr) if name.startswith("inferometer.")}
    assert not {name for name in ours if not name.startswith("inferometer.sources")}


def test_the_version_costs_no_package() -> None:
    """`inferometer --version` answers without loading any dependency."""
    command = [sys.executable, "-X", "importtime", "-m", "inferometer", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert third_party(done.stderr) == COMMAND
