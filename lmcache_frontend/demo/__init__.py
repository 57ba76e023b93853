# SPDX-License-Identifier: Apache-2.0
"""Simulated LMCache nodes for ``--demo``, tests and benchmarks: no GPU, no LMCache, nothing beyond this process.

`cluster` opens the sockets; everything else here is pure. Importing this package alone imports none of it.
"""
