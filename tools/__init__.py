# SPDX-License-Identifier: Apache-2.0
"""Command-line tools: entry points that nothing imports. Installed as ``lmcache_frontend.tools``."""
