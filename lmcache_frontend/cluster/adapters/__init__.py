# SPDX-License-Identifier: Apache-2.0
"""One way to ask each kind of node: what it is (`probe`), and what it says (`read`)."""
