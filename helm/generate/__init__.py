# SPDX-License-Identifier: Apache-2.0
"""Writes what of the chart is derived: values.schema.json and the table in its README, from values.yaml."""
