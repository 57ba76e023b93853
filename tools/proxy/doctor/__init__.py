# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy doctor``: what people get wrong, and what to do."""
