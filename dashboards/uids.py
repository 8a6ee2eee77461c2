# SPDX-License-Identifier: Apache-2.0
"""What the dashboards are known by, for ever: the links of users lead there, and ours from one to the other."""

FLEET = "inferometer-fleet"
GPU = "inferometer-gpu"
INFERENCE = "inferometer-inference"
