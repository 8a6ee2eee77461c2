# SPDX-License-Identifier: Apache-2.0
"""What a page tells of its engine stands on the engine's info, and nowhere else."""

import frames
from inferometer import catalog
from inferometer.join import join
from inferometer.model import Target
from inferometer.sources.engines.reader import Reader

TARGET = Target("10.0.0.7:8000", "http://10.0.0.7:8000/prometheus/metrics")
PAGE = b"""\
trtllm_num_requests_running{model_name="m"} 1
trtllm_parallel_config_info{model_name="m",tensor_parallel_size="4"} 1
trtllm_model_config_info{model_name="m",quantization="fp8"} 1
"""


def test_parallel_sizes_quantisation_and_timing_stand_on_the_info() -> None:
    """The info is one series with all of it; a value carries none."""
    snapshot = join(frames.frames(engines=[Reader(TARGET).read(PAGE)]), frames.CONTEXT)
    (info,) = [point for point in snapshot.points if point.metric is catalog.ENGINE_INFO]
    told = dict(zip(info.metric.keys, info.attributes, strict=True))
    assert told[catalog.TOKEN_TIMING.key] == "completion"
    assert told[catalog.TENSOR_PARALLEL.key] == "4"
    assert told[catalog.PIPELINE_PARALLEL.key] is None
    assert told[catalog.QUANTIZATION.key] == "fp8"
    (running,) = [point for point in snapshot.points if point.metric is catalog.REQUESTS_RUNNING]
    assert "fp8" not in running.attributes


def test_the_phases_of_an_engines_own_start_are_told() -> None:
    """SGLang's, once however many ranks repeat them."""
    page = "\n".join(
        f'sglang:startup_time_seconds{{model_name="m",tp_rank="{rank}",phase="{phase}"}} {seconds + rank}'
        for rank in (0, 1)
        for phase, seconds in (("load_weight", 10.0), ("scheduler_e2e", 20.0))
    )
    report = Reader(TARGET).read(f"# TYPE sglang:startup_time_seconds gauge\n{page}\n".encode())
    told = {dict(r.attributes)[catalog.LOAD_PHASE.key]: r.value for r in report.readings}
    assert told == {"load_weight": 10.0, "scheduler_e2e": 20.0}
    assert report.unknown == ()
