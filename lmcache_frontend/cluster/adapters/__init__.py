# SPDX-License-Identifier: Apache-2.0
"""One way to ask each kind of node: what it is (`probe`), and what it says (`read`)."""

# What can be read of a node.
ITEMS = (
    "version",
    "health",
    "metrics",
    "conf",
    "meta",
    "threads",
    "loggers",
    "periodic",
    "backends",
    "status",
    "inference",
    "env",
    "quota",
)
