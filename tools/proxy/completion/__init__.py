# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy completion``: scripts for shells, made from the parsers."""
