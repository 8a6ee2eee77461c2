# SPDX-License-Identifier: Apache-2.0
"""A small kubelet and a small API server: real sockets and protocols, recorded answers, and faults on demand."""
