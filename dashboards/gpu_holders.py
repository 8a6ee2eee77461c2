# SPDX-License-Identifier: Apache-2.0
"""Who holds one GPU and its MIG instances, now and over time."""

from dashboards import uids
from dashboards.model import BYTES, RATIO, Key, Lines, Link, Query, Row, State, Table, Timeline, Value
from dashboards.one_gpu import ME, MINE, MY_HOLDERS, NO_MIG, NOBODY
from dashboards.queries import POD, joined

_HOLDING = (
    f"max by ({', '.join(POD)}, k8s_workload_kind, k8s_workload_name, inferometer_team, k8s_resourceclaim_name,"
    f" gpu_mig_profile, role) ({MINE})"
)

_HOLDERS_NOW = Table(
    title="Holders now",
    description="The pods that hold the GPU or one of its instances now (`gpu_owner_info`), and by which ResourceClaim.",
    keys=(
        Key("k8s_namespace_name", "Namespace", Link(uids.INFERENCE, "namespace", "What this namespace serves")),
        Key("k8s_workload_kind", "Kind"),
        Key("k8s_workload_name", "Workload"),
        Key("k8s_pod_name", "Pod"),
        Key("inferometer_team", "Team"),
        Key("k8s_resourceclaim_name", "ResourceClaim"),
        Key("gpu_mig_profile", "MIG profile"),
        Key("role", "Role"),
        Key("k8s_pod_uid"),
    ),
    values=(Value("", _HOLDING),),
    height=6,
    sort="Namespace",
    may_be_empty=NOBODY,
)

_BY = "k8s_namespace_name, k8s_pod_name, gpu_mig_profile, hw_id"

HELD = Row(
    "Who held it",
    (
        Timeline(
            title="Holders over time",
            description=(
                "A bar for each pod while it held the GPU, or the MIG instance that is named behind it "
                "(`gpu_owner_info`). No bar: nobody held it. Bars at once on the same device: it was shared."
            ),
            queries=(
                Query(f"max by ({_BY}) ({MY_HOLDERS})", "{{k8s_namespace_name}}/{{k8s_pod_name}} {{gpu_mig_profile}}"),
            ),
            states={1: State("held", "blue")},
            width=24,
            may_be_empty=NOBODY,
        ),
        _HOLDERS_NOW,
        Lines(
            title="Utilisation while one pod held it alone",
            description=(
                "How busy the GPU was, told as its only holder's (`gpu_owner_utilization_ratio`). "
                "A gap: nobody held it, or several did, and then it is not said whose the time was."
            ),
            queries=(
                Query(
                    f"max by (k8s_namespace_name, k8s_pod_name) (gpu_owner_utilization_ratio{{{ME}}})",
                    "{{k8s_namespace_name}}/{{k8s_pod_name}}",
                ),
            ),
            unit=RATIO,
            top=1.0,
            may_be_empty="no pod holds this GPU alone",
        ),
        Lines(
            title="Memory in use, by the pod that held the device alone",
            description=(
                "Memory of the GPU, or of its MIG instances, told as the only holder's (`gpu_owner_memory_usage_bytes`)."
            ),
            queries=(
                Query(
                    f"max by ({_BY}) (gpu_owner_memory_usage_bytes{{{ME}}} or "
                    'gpu_owner_memory_usage_bytes{hw_parent="$gpu"})',
                    "{{k8s_namespace_name}}/{{k8s_pod_name}} {{gpu_mig_profile}}",
                ),
            ),
            unit=BYTES,
            may_be_empty="no pod holds this GPU, or one of its instances, alone",
        ),
    ),
)

_INSTANCE = (
    "max by (gpu_mig_profile, gpu_mig_gpu_instance_id, gpu_mig_compute_instance_id, gpu_mig_placement, hw_id) "
    '(gpu_mig_info{hw_parent="$gpu"})'
)

INSTANCES = Row(
    "Its MIG instances",
    (
        Table(
            title="MIG instances: placement, memory, holders",
            description=(
                "One row per instance (`gpu_mig_info`), with its memory (`gpu_mig_memory_usage_bytes`, `gpu_mig_memory_limit_bytes`) "
                "and how many pods hold it (`gpu_owner_info`). An instance without holders is free."
            ),
            keys=(
                Key("gpu_mig_profile", "Profile"),
                Key("gpu_mig_gpu_instance_id", "GPU instance"),
                Key("gpu_mig_compute_instance_id", "Compute instance"),
                Key("gpu_mig_placement", "Placement"),
                Key("hw_id", "UUID"),
            ),
            values=(
                Value("", _INSTANCE),
                Value(
                    "Holders",
                    joined(
                        _INSTANCE,
                        f'count by (hw_id) (group by (hw_id, {", ".join(POD)}) (gpu_owner_info{{hw_parent="$gpu",role!="admin"}}))',
                    ),
                ),
                Value("Memory in use", joined(_INSTANCE, "max by (hw_id) (gpu_mig_memory_usage_bytes)"), BYTES),
                Value("Memory", joined(_INSTANCE, "max by (hw_id) (gpu_mig_memory_limit_bytes)"), BYTES),
            ),
            sort="Placement",
            width=24,
            height=7,
            may_be_empty=NO_MIG,
        ),
        Lines(
            title="Memory in use, by instance",
            description="Memory of each instance in use by processes (`gpu_mig_memory_usage_bytes`).",
            queries=(
                Query(
                    'max by (gpu_mig_profile, hw_id) (gpu_mig_memory_usage_bytes{hw_parent="$gpu"})',
                    "{{gpu_mig_profile}} {{hw_id}}",
                ),
            ),
            unit=BYTES,
            width=24,
            may_be_empty=NO_MIG,
        ),
    ),
)
