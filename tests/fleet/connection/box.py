"""Ansible's way into a booted box of the tests: by nsenter, so that the image needs no sshd.

A host is unreachable when the process that `box_leader` names is not there.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: box
short_description: enter a booted host of the tests
description: enter a booted host of the tests
options:
  leader:
    description: the first process of the host
    type: int
    vars: [{name: box_leader}]
"""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


class Connection(ConnectionBase):
    """One host."""

    transport = "box"
    has_pipelining = True

    def _connect(self) -> Connection:
        leader = self.get_option("leader")
        if not leader or not Path(f"/proc/{leader}").exists():
            raise AnsibleConnectionFailure("no host is there")
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        self._connect()
        return self._run(["sh", "-c", cmd], in_data or b"")

    def put_file(self, in_path, out_path):
        code, _, said = self._run(["sh", "-c", 'cat > "$1"', "sh", out_path], Path(in_path).read_bytes())
        assert code == 0, said

    def fetch_file(self, in_path, out_path):
        code, data, said = self._run(["cat", in_path])
        assert code == 0, said
        Path(out_path).write_bytes(data)

    def close(self) -> None:
        self._connected = False

    def _run(self, argv, data=b""):
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        enter = ["nsenter", f"--target={self.get_option('leader')}", *namespaces, "--"]
        done = subprocess.run([*enter, *argv], input=data, capture_output=True, env=ENVIRONMENT, check=False)
        return done.returncode, done.stdout, done.stderr
