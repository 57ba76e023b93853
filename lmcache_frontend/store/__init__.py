# SPDX-License-Identifier: Apache-2.0
"""Durable state behind one protocol: a file (SQLite), etcd where several frontends share it, or memory."""
