# SPDX-License-Identifier: Apache-2.0
"""NVIDIA GPUs, by NVML."""

from inferometer import config as configuration
from inferometer.sources.devices.bindings import BINDINGS
from inferometer.sources.devices.gpus import Gpus
from inferometer.sources.devices.release import Release
from inferometer.sources.devices.words import NVIDIA

__all__ = ["BINDINGS", "Nvidia"]


class Nvidia(Gpus):
    """The NVIDIA GPUs of this node. `nvml` is the binding, or what stands in for it and is told the argument."""

    def __init__(
        self,
        config: configuration.Nvidia,
        period: float,
        *,
        nvml: str = "pynvml",
        nvml_argument: str = "",
        release: Release | None = None,
    ) -> None:
        super().__init__(
            NVIDIA,
            config,
            period,
            release=Release(config.release) if release is None else release,
            binding=nvml,
            argument=nvml_argument,
            library=config.library,
            processes=config.processes,
        )
