# SPDX-License-Identifier: Apache-2.0
"""Grafana dashboards, written as values and generated as classic JSON: `python -m dashboards` writes them."""
