# SPDX-License-Identifier: Apache-2.0
"""The endpoints: request in, response out, no logic of their own."""
