# SPDX-License-Identifier: Apache-2.0
"""The fold of XIDs and SXIDs: each once, whoever tells it, on its GPU or NVSwitch, and on whoever held it. Pure."""

from inferometer.accounting.xids.fold import State, count, say

__all__ = ["State", "count", "say"]
