# SPDX-License-Identifier: Apache-2.0
"""The list of all dashboards, in the order in which a newcomer meets them."""

from dashboards import fleet, gpu, inference
from dashboards.model import Dashboard

EVERY: tuple[Dashboard, ...] = (fleet.DASHBOARD, gpu.DASHBOARD, inference.DASHBOARD)
