# SPDX-License-Identifier: Apache-2.0
"""The fleet: how many GPUs are held, idle and unhealthy, and who holds what."""

from dashboards import uids
from dashboards.model import (
    BYTES,
    CELSIUS,
    COUNT,
    RATIO,
    SECONDS,
    WATTS,
    Dashboard,
    Key,
    Lines,
    Link,
    Query,
    Row,
    Stat,
    Step,
    Table,
    Timeline,
    Value,
)
from dashboards.queries import (
    BUSY,
    CLUSTER,
    GPUS,
    HELD,
    HELD_GPUS,
    HOLDINGS,
    IDLE,
    INSTANCES,
    NAMESPACE,
    NODE,
    POD,
    STATES,
    TEAM,
    WINDOW,
    counted,
    gpus_of,
    here,
    joined,
    named,
    state_of,
    with_gpu,
    with_node,
)

_CHOSEN = 'gpu_owner_info{role!="admin",k8s_namespace_name=~"$namespace",inferometer_team=~"$team"}'
_NOT_OK = 'hw_status{hw_state!="ok"}'
_COUNTED = here('gpu_devices{gpu_state!=""}')
_HELD_HERE = f"{GPUS} and on (hw_id) {HELD_GPUS}"
_FREE_HERE = f"{GPUS} unless on (hw_id) {HELD_GPUS}"
_IDLE_HERE = (
    f'sum(max by (hw_id) (max_over_time(hw_gpu_utilization_ratio{{hw_gpu_task="general"}}[$idle])) < bool {IDLE}'
    f" and on (hw_id) ({_HELD_HERE}))"
)
_BUSY_HELD = f"{BUSY} and on (hw_id) ({_HELD_HERE})"

_NOW = Row(
    "The fleet now",
    (
        Stat(
            title="GPUs",
            description="Physical GPUs that agents of the chosen nodes see (`gpu_info`).",
            expr=f"count({GPUS})",
            unit=COUNT,
        ),
        Stat(
            title="Held",
            description=(
                "GPUs that a pod holds whole, shared, or in at least one MIG instance (`gpu_owner_info`). "
                "Admin access is not holding."
            ),
            expr=counted(_HELD_HERE, GPUS),
            unit=COUNT,
        ),
        Stat(
            title="Free",
            description="GPUs of which no pod holds anything (`gpu_info` without `gpu_owner_info`). Free GPUs while pods wait point at fragmentation or taints.",
            expr=counted(_FREE_HERE, GPUS),
            unit=COUNT,
        ),
        Stat(
            title="Held but idle",
            description=(
                f"Held GPUs that were never busy for more than {IDLE:.0%} of the time in the last $idle "
                "(`hw_gpu_utilization_ratio`): someone pays and nobody computes. The table below says who. "
                "A GPU in MIG mode reports no utilisation and is not counted."
            ),
            expr=_IDLE_HERE,
            unit=COUNT,
            steps=(Step(1, "orange"),),
        ),
        Stat(
            title="Unhealthy",
            description=(
                "GPUs whose state is not ok (`hw_status`): failed means that it does not answer, or must not be used. "
                "Open the GPU from the table below; drain the node if it does not come back."
            ),
            expr=f"sum({here(_NOT_OK)})",
            unit=COUNT,
            steps=(Step(1, "red"),),
        ),
        Stat(
            title="Free MIG instances",
            description="MIG instances that no pod holds (`gpu_mig_info` without `gpu_owner_info`).",
            expr=counted(f"{INSTANCES} unless on (hw_id) {HELD}", INSTANCES),
            unit=COUNT,
            empty="No MIG",
        ),
        Stat(
            title="Unresolved",
            description=(
                "Allocations that the kubelet names and no device answers to (`gpu_owner_unresolved`): "
                "a device went away under its pod, or the driver does not show it. Run `inferometer check` on the node."
            ),
            expr=f"sum({here('gpu_owner_unresolved')})",
            unit=COUNT,
            steps=(Step(1, "orange"),),
        ),
        Stat(
            title="Power",
            description="What the boards of the chosen nodes draw now (`hw_power_watts`).",
            expr=f"sum({here('hw_power_watts')})",
            unit=WATTS,
        ),
    ),
)

_OVER_TIME = Row(
    "Held, idle and unhealthy over time",
    (
        Lines(
            title="GPUs by state",
            description=(
                "Every GPU once (`gpu_devices`): held by a pod, free, unhealthy (failed, whoever holds it), excluded from use, or "
                "unknown where the agent cannot ask the kubelet."
            ),
            queries=(Query(f"sum by (gpu_state) ({_COUNTED})", "{{gpu_state}}"),),
            unit=COUNT,
            stacked=True,
        ),
        Lines(
            title="GPUs held, by team",
            description=(
                "GPUs of which a team holds at least a part (`gpu_owner_info`). "
                "A GPU that two teams share counts for both, so the lines may add up to more than there is."
            ),
            queries=(
                Query(
                    named(
                        f"count by (inferometer_team) ({gpus_of(_CHOSEN, 'inferometer_team')} and on (hw_id) {GPUS})",
                        "inferometer_team",
                        "no team",
                    ),
                    "{{inferometer_team}}",
                ),
            ),
            unit=COUNT,
        ),
        Lines(
            title="How busy the held GPUs are",
            description=(
                "Fraction of time that held GPUs were busy (`hw_gpu_utilization_ratio`): the least busy tenth, "
                "the middle, and the busiest tenth of them. Busy means that some kernel ran, not that it used the GPU well."
            ),
            queries=(
                Query(f"quantile(0.9, {_BUSY_HELD})", "busiest tenth"),
                Query(f"quantile(0.5, {_BUSY_HELD})", "middle"),
                Query(f"quantile(0.1, {_BUSY_HELD})", "least busy tenth"),
            ),
            unit=RATIO,
            top=1.0,
        ),
        Timeline(
            title="GPUs that are or were unhealthy",
            description="A bar while a GPU's state is not ok (`hw_status`). Nothing here is good news.",
            queries=(
                Query(
                    f"max by (hw_id, gpu_index) ({here(_NOT_OK)}) > 0",
                    "GPU {{gpu_index}} {{hw_id}}",
                ),
            ),
            states={1: STATES[3]},
            may_be_empty="a fleet without a fault has nothing to show",
        ),
    ),
)

_HOLDER = (
    "max by (k8s_node_name, gpu, gpu_index, hw_id, gpu_mig_profile, k8s_namespace_name, k8s_workload_name, k8s_pod_name,"
    f" k8s_pod_uid, inferometer_team, k8s_resourceclaim_name) ({with_gpu(with_node(_CHOSEN))})"
)

_HOLDERS = Row(
    "Who holds what",
    (
        Table(
            title="Holdings: pods and the GPUs or MIG instances that they hold",
            description=(
                "One row per pod and device (`gpu_owner_info`), with how busy the device is "
                "(`hw_gpu_utilization_ratio`, whole GPUs only; a shared GPU shows the same for all its holders), the "
                "memory in use on it, and how long the pod has held it alone as far as the agent saw "
                "(`gpu_owner_time_seconds_total`). A pod that holds much and is never busy should give it back."
            ),
            keys=(
                Key("k8s_node_name", "Node"),
                Key("gpu_index", "GPU"),
                Key("gpu_mig_profile", "MIG profile"),
                Key("k8s_namespace_name", "Namespace", Link(uids.INFERENCE, "namespace", "What this namespace serves")),
                Key("k8s_workload_name", "Workload"),
                Key("k8s_pod_name", "Pod"),
                Key("inferometer_team", "Team"),
                Key("k8s_resourceclaim_name", "ResourceClaim"),
                Key("gpu", "UUID of the GPU", Link(uids.GPU, "gpu", "This GPU")),
                Key("hw_id"),
                Key("k8s_pod_uid"),
            ),
            values=(
                Value("", _HOLDER),
                Value("Device busy", joined(_HOLDER, BUSY), RATIO),
                Value(
                    "Memory in use",
                    joined(_HOLDER, "max by (hw_id) (hw_gpu_memory_usage_bytes or gpu_mig_memory_usage_bytes)"),
                    BYTES,
                ),
                Value(
                    "Held alone for",
                    joined(
                        _HOLDER,
                        "sum by (hw_id, k8s_pod_uid) (gpu_owner_time_seconds_total)",
                        *("hw_id", "k8s_pod_uid"),
                    ),
                    SECONDS,
                ),
            ),
            sort="Namespace",
        ),
    ),
)

_GPU = f"max by (k8s_node_name, gpu_index, hw_id, hw_model, gpu_mig_mode) ({with_node('gpu_info')})"

_DEVICES = Row(
    "Every GPU",
    (
        Table(
            title="GPUs: state, holders, load",
            description=(
                "One row per physical GPU (`gpu_info`). The UUID leads to the GPU's own dashboard. Not answered for: "
                "how old the newest reading is (`gpu_reading_age_seconds`); it grows while the driver hangs."
            ),
            keys=(
                Key("k8s_node_name", "Node"),
                Key("gpu_index", "GPU"),
                Key("hw_model", "Model"),
                Key("gpu_mig_mode", "MIG"),
                Key("hw_id", "UUID", Link(uids.GPU, "gpu", "This GPU")),
            ),
            values=(
                Value("", _GPU),
                Value("State", joined(_GPU, state_of()), states=STATES),
                Value(
                    "Holders",
                    joined(_GPU, f"count by (hw_id) ({gpus_of(HOLDINGS, *POD)})"),
                    COUNT,
                ),
                Value("Busy", joined(_GPU, BUSY), RATIO),
                Value(
                    "Memory in use",
                    joined(
                        _GPU,
                        "max by (hw_id) (hw_gpu_memory_usage_bytes / (hw_gpu_memory_limit_bytes > 0))",
                    ),
                    RATIO,
                ),
                Value("Power", joined(_GPU, "max by (hw_id) (hw_power_watts)"), WATTS),
                Value("Hottest sensor", joined(_GPU, "max by (hw_id) (hw_temperature_celsius)"), CELSIUS),
                Value(
                    "Not answered for",
                    joined(_GPU, "max by (hw_id) (gpu_reading_age_seconds)"),
                    SECONDS,
                    steps=(Step(30, "red"),),
                ),
            ),
            sort="State",
            descending=True,
        ),
    ),
)

DASHBOARD = Dashboard(
    uid=uids.FLEET,
    title="Inferometer / Fleet: GPUs held, idle and unhealthy",
    description="How many GPUs there are, which of them are held, idle or unhealthy, and who holds what.",
    variables=(CLUSTER, NODE, NAMESPACE, TEAM, WINDOW),
    rows=(_NOW, _OVER_TIME, _HOLDERS, _DEVICES),
)
