# SPDX-License-Identifier: Apache-2.0
"""The vendored protocol of the kubelet, and the code generated from it."""
