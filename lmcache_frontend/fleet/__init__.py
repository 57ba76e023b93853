# SPDX-License-Identifier: Apache-2.0
"""What all nodes are and how they do: collector, health, derived figures, history. Nothing here answers requests."""
