# SPDX-License-Identifier: Apache-2.0
"""The alerts as code: objectives, rules and routing in, files for Prometheus and Alertmanager out. `python -m alerts`."""
