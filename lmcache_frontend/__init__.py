# SPDX-License-Identifier: Apache-2.0
"""See and steer a cluster of LMCache nodes: dashboard, proxy, metrics, discovery, remote configuration."""

__version__ = "0.1.0"
