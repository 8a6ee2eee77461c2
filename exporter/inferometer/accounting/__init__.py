# SPDX-License-Identifier: Apache-2.0
"""The fold: what owners held, and every counter of our own. Pure: the same states and snapshots give the same points."""

from inferometer.accounting.fold import State, account, cap
from inferometer.accounting.linger import Rules
from inferometer.accounting.places import Budget
from inferometer.accounting.plans import Plan

__all__ = ["Budget", "Plan", "Rules", "State", "account", "cap"]
