# SPDX-License-Identifier: Apache-2.0
"""One change on many nodes: what is asked for, what it is on each node, carried out, and what came of it."""
