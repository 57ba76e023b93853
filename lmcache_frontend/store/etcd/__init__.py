# SPDX-License-Identifier: Apache-2.0
"""The store in etcd, spoken to over its JSON gateway."""
