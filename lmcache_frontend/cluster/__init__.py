# SPDX-License-Identifier: Apache-2.0
"""The cluster: what a node is, which nodes there are, and where they come from."""
