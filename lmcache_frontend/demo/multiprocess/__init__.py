# SPDX-License-Identifier: Apache-2.0
"""Simulated multiprocess (MP) servers, which run beside the inference engines."""
