# SPDX-License-Identifier: Apache-2.0
"""From silicon to token: the GPUs, the power and the joules behind what the engines generate."""

from dashboards import uids
from dashboards.engines import ENGINES, OUTPUT, OWNER, TOKENS, now
from dashboards.model import TOKENS_PER_JOULE, WATTS, Key, Lines, Link, Query, Row, Table, Value
from dashboards.queries import POD, RATE, joined, with_gpu

_POD = ", ".join(POD)
_EXCLUSIVE = 'gpu_owner_utilization_ratio{attribution="exclusive"}'
# A pod that holds anything else too would look better than it is: its whole energy is not known, so it is left out.
_MIXED = f'gpu_owner_info{{role!="admin"}} unless on (hw_id, k8s_pod_uid) {_EXCLUSIVE}'
_POD_POWER = (
    f"sum by (k8s_pod_uid) (max by (hw_id) (rate(hw_energy_joules_total[{RATE}]))"
    f" * on (hw_id) group_left (k8s_pod_uid) (group by (hw_id, k8s_pod_uid) ({_EXCLUSIVE})"
    f" unless on (k8s_pod_uid) ({_MIXED})))"
)
# All tokens of a pod that serves a chosen model: its energy is not split by model either.
_POD_TOKENS = (
    f"sum by ({_POD}) (rate({TOKENS}{{{OWNER},{OUTPUT}}}[{RATE}]) and on (k8s_pod_uid) "
    f"({now('inference_requests_running')}))"
)
_SHARED = "engines on shared GPUs or MIG instances only: their share of the energy is not known yet"

SILICON = Row(
    "From silicon to token",
    (
        Lines(
            title="Tokens generated per joule, by pod",
            description=(
                "Output tokens over the energy of the whole GPUs that a pod holds alone (`inference_tokens_total`, "
                "`hw_energy_joules_total`, joined by `gpu_owner_utilization_ratio`). It falls with small batches and idle "
                "GPUs. Pods on shared GPUs or MIG instances are left out, rather than charged for others' energy; "
                "a pod that serves several models counts as a whole."
            ),
            queries=(
                Query(
                    f"{_POD_TOKENS} / on (k8s_pod_uid) group_left () ({_POD_POWER} > 0)",
                    "{{k8s_namespace_name}}/{{k8s_pod_name}}",
                ),
            ),
            unit=TOKENS_PER_JOULE,
            may_be_empty=_SHARED,
        ),
        Lines(
            title="Power behind the tokens, by pod",
            description=(
                "Mean power, by the energy counter, of the whole GPUs that an engine's pod holds alone "
                "(`hw_energy_joules_total`). A pod that draws much and generates little wastes it."
            ),
            queries=(
                Query(
                    joined(f"group by ({_POD}) ({ENGINES})", _POD_POWER, "k8s_pod_uid"),
                    "{{k8s_namespace_name}}/{{k8s_pod_name}}",
                ),
            ),
            unit=WATTS,
            may_be_empty=_SHARED,
        ),
        Table(
            title="The GPUs behind the engines",
            description=(
                "The GPUs and MIG instances that the engines' pods hold (`inference_engine_info` joined to "
                "`gpu_owner_info` by the pod's UID). The UUID leads to the GPU's dashboard."
            ),
            keys=(
                Key("k8s_namespace_name", "Namespace"),
                Key("k8s_pod_name", "Pod"),
                Key("gpu_index", "GPU"),
                Key("gpu_mig_profile", "MIG profile"),
                Key("gpu", "UUID of the GPU", Link(uids.GPU, "gpu", "This GPU")),
            ),
            values=(
                Value(
                    "",
                    "max by (k8s_namespace_name, k8s_pod_name, gpu, gpu_index, gpu_mig_profile) "
                    f"({with_gpu(f'(gpu_owner_info{{{OWNER}}} and on (k8s_pod_uid) ({ENGINES}))')})",
                ),
            ),
            height=8,
            sort="Namespace",
        ),
    ),
)
