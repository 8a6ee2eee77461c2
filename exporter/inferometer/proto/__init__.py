# SPDX-License-Identifier: Apache-2.0
"""The vendored protocols of the kubelet, and the code generated from it."""
