# SPDX-License-Identifier: Apache-2.0
"""The PromQL of one GPU, `$gpu`, and why some of it may be empty."""

ME = 'hw_id="$gpu"'
MINE = f'gpu_owner_info{{{ME}}} or gpu_owner_info{{hw_parent="$gpu"}}'
MY_HOLDERS = f'gpu_owner_info{{{ME},role!="admin"}} or gpu_owner_info{{hw_parent="$gpu",role!="admin"}}'  # who may only look holds nothing
NO_MIG = "a GPU that is not in MIG mode has no instances"
IN_MIG = "the driver reports no utilisation for a GPU in MIG mode"
NOBODY = "a GPU that nobody holds has no holders"


def one(metric: str, matchers: str = "") -> str:
    """Give a metric of this GPU as one series, whichever agent said it."""
    more = f",{matchers}" if matchers else ""
    return f"max by (hw_id) ({metric}{{{ME}{more}}})"
