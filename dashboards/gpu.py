# SPDX-License-Identifier: Apache-2.0
"""One GPU: what it is, who held it, what it did, its MIG instances and its health."""

from dashboards import uids
from dashboards.gpu_holders import HELD, INSTANCES
from dashboards.gpu_work import HEALTH, WORK
from dashboards.model import (
    BYTES,
    CELSIUS,
    COUNT,
    HERTZ,
    RATIO,
    SECONDS,
    WATTS,
    Dashboard,
    Key,
    Lines,
    Query,
    Row,
    Stat,
    Step,
    Table,
    Thing,
    Timeline,
    Value,
)
from dashboards.one_gpu import IN_MIG, ME, MY_HOLDERS, NO_MIG, NOBODY, one
from dashboards.queries import CLUSTER, NODE, POD, STATES, state_of, with_node

_GPU = Thing(
    "gpu",
    "GPU",
    "label_join(max by (gpu_index, hw_id, k8s_node_name) "
    f'({with_node("gpu_info")}), "title", " GPU ", "k8s_node_name", "gpu_index")',
    value="hw_id",
    text="title",
    description="A physical GPU, by its node and index. Its UUID is what the series are told apart by.",
)
_NOW = Row(
    "This GPU now",
    (
        Stat(
            title="State",
            description=(
                "OK, or the worst of what is wrong with it (`hw_status`); the row on what is wrong says why. "
                "A failed GPU: drain it, look at the kernel log for XIDs, reset it."
            ),
            expr=state_of(ME),
            unit=COUNT,
            states=STATES,
        ),
        Stat(
            title="Last answered",
            description=(
                "Time since it last answered the driver's calls (`gpu_reading_age_seconds`). "
                "More than a few periods of the agent: the driver hangs."
            ),
            expr=one("gpu_reading_age_seconds"),
            unit=SECONDS,
            steps=(Step(30, "red"),),
        ),
        Stat(
            title="Holders",
            description="Pods that hold it, or one of its MIG instances (`gpu_owner_info`). Admin access is not holding.",
            expr=f"count(group by ({', '.join(POD)}) ({MY_HOLDERS}))",
            unit=COUNT,
            empty="Nobody",
            may_be_empty=NOBODY,
        ),
        Stat(
            title="MIG instances",
            description="MIG instances that it is cut into now (`gpu_mig_info`).",
            expr='count(group by (hw_id) (gpu_mig_info{hw_parent="$gpu"}))',
            unit=COUNT,
            empty="No MIG",
            may_be_empty=NO_MIG,
        ),
        Stat(
            title="Busy",
            description="Fraction of time that some kernel ran (`hw_gpu_utilization_ratio`); not how well it ran.",
            expr=one("hw_gpu_utilization_ratio", 'hw_gpu_task="general"'),
            unit=RATIO,
            empty="In MIG mode",
            may_be_empty=IN_MIG,
        ),
        Stat(
            title="Memory in use",
            description="Memory that processes use, of all there is (`hw_gpu_memory_usage_bytes`, `hw_gpu_memory_limit_bytes`).",
            expr=f"{one('hw_gpu_memory_usage_bytes')} / ({one('hw_gpu_memory_limit_bytes')} > 0)",
            unit=RATIO,
        ),
        Stat(
            title="Power, of its limit",
            description="Power drawn, of the limit that is enforced (`hw_power_watts`, `gpu_power_limit_watts`).",
            expr=f"{one('hw_power_watts')} / ({one('gpu_power_limit_watts')} > 0)",
            unit=RATIO,
        ),
        Stat(
            title="Hottest sensor",
            description="The highest of its temperatures (`hw_temperature_celsius`). Limits differ by model and sensor.",
            expr=one("hw_temperature_celsius"),
            unit=CELSIUS,
        ),
    ),
)

_IS = "max by (k8s_node_name, gpu_index, hw_id, hw_model, hw_serial_number, hw_driver_version, hw_firmware_version,"
_IS += " gpu_cuda_version, gpu_pci_address, gpu_minor, gpu_numa_node, gpu_mig_mode)"

_ABOUT = Row(
    "What it is",
    (
        Table(
            title="The GPU's name plate",
            description="What only describes the GPU (`gpu_info`): what a support case or a swap of the board asks for.",
            keys=(
                Key("k8s_node_name", "Node"),
                Key("gpu_index", "GPU"),
                Key("hw_model", "Model"),
                Key("hw_id", "UUID"),
                Key("hw_serial_number", "Serial number"),
                Key("hw_driver_version", "Driver"),
                Key("hw_firmware_version", "VBIOS"),
                Key("gpu_cuda_version", "CUDA"),
                Key("gpu_pci_address", "PCI address"),
                Key("gpu_minor", "/dev/nvidia"),
                Key("gpu_numa_node", "NUMA node"),
                Key("gpu_mig_mode", "MIG mode"),
            ),
            values=(Value("", f"{_IS} ({with_node(f'gpu_info{{{ME}}}')})"),),
            height=4,
        ),
    ),
)

_DID = Row(
    "What it did",
    (
        Lines(
            title="Busy, by engine of the GPU",
            description="Fraction of time that compute, the video encoder and decoder were busy (`hw_gpu_utilization_ratio`).",
            queries=(
                Query(
                    f"max by (hw_gpu_task) (hw_gpu_utilization_ratio{{{ME}}})",
                    "{{hw_gpu_task}}",
                ),
            ),
            unit=RATIO,
            top=1.0,
            may_be_empty=IN_MIG,
        ),
        Lines(
            title="Memory: in use, reserved, all",
            description=(
                "What processes use, what driver and firmware keep, and all there is "
                "(`hw_gpu_memory_usage_bytes`, `gpu_memory_reserved_bytes`, `hw_gpu_memory_limit_bytes`). "
                "Engines take most of it at once on purpose: a high and flat line is normal."
            ),
            queries=(
                Query(one("hw_gpu_memory_usage_bytes"), "in use"),
                Query(one("gpu_memory_reserved_bytes"), "reserved"),
                Query(one("hw_gpu_memory_limit_bytes"), "all"),
            ),
            unit=BYTES,
        ),
        Lines(
            title="Power: drawn, highest, mean by energy counter, limit",
            description=(
                "Power as the driver averages it, the highest of the driver's own samples, the mean by the energy counter, and the "
                "enforced limit (`hw_power_watts`, `gpu_power_max_watts`, `hw_energy_joules_total`, `gpu_power_limit_watts`). "
                "At the limit, clocks fall."
            ),
            queries=(
                Query(one("hw_power_watts"), "drawn"),
                Query(one("gpu_power_max_watts"), "highest"),
                Query(
                    f"max by (hw_id) (rate(hw_energy_joules_total{{{ME}}}[$__rate_interval]))",
                    "mean by energy",
                ),
                Query(one("gpu_power_limit_watts"), "limit"),
            ),
            unit=WATTS,
        ),
        Lines(
            title="Temperature, by sensor",
            description="Core and memory (`hw_temperature_celsius`). Above the model's slowdown limit, clocks fall.",
            queries=(
                Query(
                    f"max by (hw_sensor_location) (hw_temperature_celsius{{{ME}}})",
                    "{{hw_sensor_location}}",
                ),
            ),
            unit=CELSIUS,
        ),
        Lines(
            title="Clocks, by domain",
            description="Clock frequencies (`gpu_clock_frequency_hertz`). Low while busy: power, heat or a set limit holds it.",
            queries=(
                Query(
                    f"max by (gpu_clock_domain) (gpu_clock_frequency_hertz{{{ME}}})",
                    "{{gpu_clock_domain}}",
                ),
            ),
            unit=HERTZ,
        ),
        Timeline(
            title="State over time",
            description=(
                "OK, or the worst of what was wrong with it (`hw_status`). "
                "Gaps: the agent was away, or the driver no longer showed the GPU."
            ),
            queries=(Query(state_of(ME), "state"),),
            states=STATES,
        ),
        Lines(
            title="XIDs since the agent began, by code and recommended action",
            description=(
                "Errors that the driver reported (`gpu_xid_errors_total`), with NVIDIA's name of each and what it recommends. A line "
                "begins with the first XID and only rises: a step is an XID. An application's own fault (restart_app) is its "
                "owner's, the rest is the GPU's."
            ),
            queries=(
                Query(
                    "max by (gpu_xid_code, gpu_xid_mnemonic, gpu_xid_action) ("
                    f"(gpu_xid_errors_total{{{ME}}} > 0)"
                    " * on (job, instance, gpu_xid_code) group_left (gpu_xid_mnemonic, gpu_xid_action)"
                    " max by (job, instance, gpu_xid_code, gpu_xid_mnemonic, gpu_xid_action) (gpu_xid_info))",
                    "XID {{gpu_xid_code}} {{gpu_xid_mnemonic}} {{gpu_xid_action}}",
                ),
            ),
            unit=COUNT,
            width=24,
            may_be_empty="a GPU without a fault has no XIDs",
        ),
    ),
)

DASHBOARD = Dashboard(
    uid=uids.GPU,
    title="Inferometer / GPU: one device, its instances, its holders",
    description="One GPU over time: its state, who held it, what it did, and the MIG instances that it is cut into.",
    variables=(CLUSTER, NODE, _GPU),
    rows=(_NOW, _ABOUT, HELD, _DID, WORK, HEALTH, INSTANCES),
)
