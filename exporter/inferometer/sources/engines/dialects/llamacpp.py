# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's `llama-server --metrics`: no labels at all."""

from inferometer.sources.engines.dialect import Dialect, sign

LLAMACPP = Dialect(name="llamacpp", signs=(sign("llamacpp:"),), backend="llamacpp", port=8080)
