# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who changed what, on what, and what came of it."""
