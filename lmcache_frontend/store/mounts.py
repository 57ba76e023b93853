# SPDX-License-Identifier: Apache-2.0
"""Tell whether a path lies on a network file system, where neither locks nor shared memory can be relied on.

Sources: proc_pid_mountinfo(5); "WAL does not work over a network filesystem", https://sqlite.org/wal.html.
"""

from __future__ import annotations

import re

NETWORK_TYPES = frozenset(
    [
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fhgfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
    ]
)
# File systems in user space over something far away; other ones, such as ntfs-3g, are local.
NETWORK_FUSE_TYPES = frozenset(
    [
        "blobfuse",
        "blobfuse2",
        "ceph",
        "ceph-fuse",
        "cephfs",
        "curlftpfs",
        "davfs",
        "davfs2",
        "gcsfuse",
        "geesefs",
        "glusterfs",
        "goofys",
        "juicefs",
        "mount-s3",
        "mountpoint-s3",
        "rclone",
        "s3fs",
        "seaweedfs",
        "sshfs",
        "weed",
    ]
)


def network_file_system(path: str, mountinfo: str) -> str:
    """Give the type of the network file system that an absolute, resolved path lies on, empty for a local one.

    ``mountinfo`` is the text of ``/proc/self/mountinfo``, empty where there is none.
    """
    found, kind = "", ""
    for line in mountinfo.splitlines():
        mount, _, rest = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not rest:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        # Of two mounts on one point the later one is seen.
        if len(point) >= len(found) and (path + "/").startswith(point.rstrip("/") + "/"):
            found, kind = point, rest.split(" ")[0]
    if kind.startswith(("fuse.", "fuseblk.")):
        return kind if kind.partition(".")[2].lower() in NETWORK_FUSE_TYPES else ""
    return kind if kind in NETWORK_TYPES else ""
