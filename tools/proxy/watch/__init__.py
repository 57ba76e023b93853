# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy watch``: changes of state as they happen."""
