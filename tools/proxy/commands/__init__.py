# SPDX-License-Identifier: Apache-2.0
"""The commands that ask or change and are done, a module each or for a few alike."""
