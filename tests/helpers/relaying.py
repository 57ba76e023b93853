# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.helpers.relaying PORT HOST PORT USER``: pass connections on, as `ssh -L` and Docker's proxy do."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 -- what connecting needs, while the files of Python can still be read
import os
import socket
import sys
import threading


def main() -> None:
    """Listen on every address at the first port, as the user with the given number, until ended."""
    port, host, target_port, user = sys.argv[1:]
    listener = socket.create_server(("", int(port)))
    os.setuid(int(user))
    while True:
        near, _ = listener.accept()
        threading.Thread(target=_serve, args=(near, (host, int(target_port))), daemon=True).start()


def _serve(near: socket.socket, target: tuple[str, int]) -> None:
    with near, contextlib.suppress(OSError), socket.create_connection(target) as far:
        back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
        back.start()
        _pass_on(near, far)
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
