# SPDX-License-Identifier: Apache-2.0
"""The program that serves a model by Triton: it waits a little, doubles its input, and fails on what is negative.

It runs in .venv-triton, with the ports for requests and metrics as its arguments.
"""

import sys
import time
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

TAKES = 0.02  # seconds; tests/engines/triton.py knows it


def double(number: Any) -> list[Any]:
    """Give twice the input."""
    time.sleep(TAKES)
    if (number < 0).any():
        raise ValueError("negative")
    return [number * 2]


if __name__ == "__main__":
    http, grpc, metrics = map(int, sys.argv[1:])
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http,
        grpc_address="127.0.0.1",
        grpc_port=grpc,
        metrics_address="127.0.0.1",
        metrics_port=metrics,
        allow_gpu_metrics=False,
        exit_on_error=False,
    )
    scalar = Tensor(dtype=np.float32, shape=(1,))
    with Triton(config=config, workspace=Path(gettempdir()) / "workspace") as triton:
        triton.bind(
            model_name="doubler",
            infer_func=batch(double),
            inputs=[Tensor(name="number", dtype=np.float32, shape=(1,))],
            outputs=[scalar],
            config=ModelConfig(max_batch_size=4),
        )
        triton.serve()
