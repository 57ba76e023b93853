# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the proxy beside nginx on the same machine in the same run: `python3 -m tests.bench`."""
