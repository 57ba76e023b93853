# SPDX-License-Identifier: Apache-2.0
"""Simulated in-process nodes: workers and schedulers inside an inference engine."""
