# SPDX-License-Identifier: Apache-2.0
"""Inference engines: finding them, scraping their pages, and saying in one language what each of them says in its own."""
