# SPDX-License-Identifier: Apache-2.0
"""How well one GPU was used, what slowed it down, what went over its links, and what is wrong with it."""

from dashboards.model import BYTES_PER_SECOND, COUNT, RATIO, Lines, Query, Row, State, Timeline
from dashboards.one_gpu import ME, NO_MIG, one

OLD = "only GPUs from Hopper on tell how busy their parts are"
NO_FAULT = "a GPU without a fault has nothing to show"
_RECEIVED, _SENT = 'network_io_direction="receive"', 'network_io_direction="transmit"'


def _traffic(metric: str, matchers: str) -> str:
    """Give the bytes per second of all links."""
    return f"sum by (hw_id) (max by (hw_id, gpu_nvlink_link) (rate({metric}{{{ME},{matchers}}}[$__rate_interval])))"


WORK = Row(
    "How well it was used",
    (
        Lines(
            title="How busy its parts are: SMs, tensor pipes, memory",
            description=(
                "Fraction of the SMs that were busy, of time that the tensor pipes were, and of the memory bandwidth in use "
                "(`gpu_sm_activity_ratio`, `gpu_tensor_activity_ratio`, `gpu_dram_activity_ratio`), with the warps that were "
                "resident (`gpu_sm_occupancy_ratio`). Decoding is bound by memory, prefill by the tensor pipes: all low while the "
                "GPU is busy means that it waits for the CPU or the network."
            ),
            queries=(
                Query(one("gpu_sm_activity_ratio"), "SMs"),
                Query(one("gpu_sm_occupancy_ratio"), "SM occupancy"),
                Query(one("gpu_tensor_activity_ratio"), "tensor pipes"),
                Query(one("gpu_dram_activity_ratio"), "memory bandwidth"),
            ),
            unit=RATIO,
            top=1.0,
            may_be_empty=OLD,
        ),
        Lines(
            title="How busy the SMs of each MIG instance are",
            description="Fraction of the instance's own SMs that were busy (`gpu_mig_sm_activity_ratio`): what MIG mode leaves of utilisation.",
            queries=(
                Query(
                    'max by (gpu_mig_profile, hw_id) (gpu_mig_sm_activity_ratio{hw_parent="$gpu"})',
                    "{{gpu_mig_profile}} {{hw_id}}",
                ),
            ),
            unit=RATIO,
            top=1.0,
            may_be_empty=f"{NO_MIG}, and {OLD}",
        ),
        Lines(
            title="Time slowed down, by reason",
            description=(
                "Fraction of time that the clocks were held down (`gpu_throttle_time_seconds_total`). A power cap is somebody's wish; "
                "heat (sw_thermal, hw_thermal) and a power brake are not: look at cooling and power supplies. Reasons may hold at once."
            ),
            queries=(
                Query(
                    f"max by (gpu_throttle_reason) (rate(gpu_throttle_time_seconds_total{{{ME}}}[$__rate_interval]))",
                    "{{gpu_throttle_reason}}",
                ),
            ),
            unit=RATIO,
            top=1.0,
            may_be_empty="not every driver counts this time",
        ),
        Lines(
            title="Traffic over PCIe and NVLink",
            description=(
                "Bytes per second that the GPU received and sent, of all its NVLinks together (`hw_gpu_io_bytes_total`, "
                "`gpu_nvlink_io_bytes_total`). Much PCIe traffic while serving: the KV cache is offloaded, or peers have no NVLink."
            ),
            queries=(
                Query(f"max by (hw_id) (rate(hw_gpu_io_bytes_total{{{ME},{_RECEIVED}}}[$__rate_interval]))", "PCIe in"),
                Query(f"max by (hw_id) (rate(hw_gpu_io_bytes_total{{{ME},{_SENT}}}[$__rate_interval]))", "PCIe out"),
                Query(_traffic("gpu_nvlink_io_bytes_total", _RECEIVED), "NVLink in"),
                Query(_traffic("gpu_nvlink_io_bytes_total", _SENT), "NVLink out"),
            ),
            unit=BYTES_PER_SECOND,
            may_be_empty="older drivers count no bytes over PCIe, and not every GPU has NVLink",
        ),
    ),
)

HEALTH = Row(
    "What is wrong with it",
    (
        Timeline(
            title="Why its state is not ok",
            description=(
                "A bar for each cause while it holds, with the state that it means (`gpu_health_reason`). "
                "The runbook of the alert GpuUnhealthy says what each is and what ends it."
            ),
            queries=(
                Query(
                    f"max by (gpu_health_cause, hw_state) (gpu_health_reason{{{ME}}})",
                    "{{gpu_health_cause}} ({{hw_state}})",
                ),
            ),
            states={1: State("holds", "orange")},
            may_be_empty=NO_FAULT,
        ),
        Lines(
            title="Memory errors since the driver was loaded, and rows replaced",
            description=(
                "What ECC found, by kind and place (`hw_errors_total`), and memory rows replaced for good (`gpu_memory_row_remaps`). "
                "Corrected errors are ECC's work; an uncorrected one has ended a process, and more of them ask for a reset."
            ),
            queries=(
                Query(
                    f"max by (error_type, gpu_memory_location) (hw_errors_total{{{ME}}})",
                    "{{error_type}} {{gpu_memory_location}}",
                ),
                Query(f"max by (error_type) (gpu_memory_row_remaps{{{ME}}})", "rows replaced, {{error_type}}"),
            ),
            unit=COUNT,
            may_be_empty="not every GPU has ECC",
        ),
    ),
)
