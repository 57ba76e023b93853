# SPDX-License-Identifier: Apache-2.0
"""LMCache settings: the keys, the rules that give workers their values, what LMCache makes of them, and revisions."""
