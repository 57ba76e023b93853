# SPDX-License-Identifier: Apache-2.0
"""The runtime plugin with which LMCache itself starts the dashboard."""
