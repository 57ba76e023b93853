# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy top``: the fleet live, on the full screen."""
