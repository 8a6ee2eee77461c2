# SPDX-License-Identifier: Apache-2.0
"""Writes what of the chart is derived: its schema and README from values.yaml, its rules and dashboards from their folders."""
