# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 without product knowledge: heads, framing, streams, a server shell, node connections and the relay."""
