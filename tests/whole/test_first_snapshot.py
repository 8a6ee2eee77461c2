# SPDX-License-Identifier: Apache-2.0
"""The first snapshot, which waits for slow sources."""

import socket
from pathlib import Path

from inferometer.app import Pipeline
from inferometer.config import load
from peer import Peer, answer, peer_with, silent

PAGE = Path(__file__).parents[1] / "fixtures" / "engines" / "vllm" / "real_v0.32.0_cpu_idle.txt"
OFF = {"INFEROMETER_DEVICES__NVIDIA__ENABLED": "false", "INFEROMETER_IDENTITY__PODRESOURCES__ENABLED": "false"}


def test_a_source_that_hangs_does_not_cost_the_others_the_first_snapshot() -> None:
    """Waiting for it longer than two short periods leaves no old values, and takes none away."""

    def serve(peer: Peer, connection: socket.socket) -> None:
        while True:
            peer.question(connection)
            connection.sendall(answer(PAGE.read_bytes(), b"Content-Type: text/plain"))

    with peer_with(serve) as good, peer_with(silent) as hanging:
        targets = f"[{{url: '{good.url()}'}}, {{url: '{hanging.url()}'}}]"
        pipeline = Pipeline(
            load(None, {**OFF, "INFEROMETER_PERIOD": "1s", "INFEROMETER_ENGINES__TARGETS": targets}), {}
        )
        try:
            snapshot = pipeline.step(patience=2.5)
        finally:
            pipeline.close()

    assert [engine.engine for engine in snapshot.engines] == ["vllm"]
