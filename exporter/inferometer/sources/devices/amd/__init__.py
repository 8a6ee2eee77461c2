# SPDX-License-Identifier: Apache-2.0
"""AMD GPUs: the same metrics, read through AMD SMI by the same sampler."""
