# SPDX-License-Identifier: Apache-2.0
"""Who holds what: the kubelet's allocations and the pods of this node."""
