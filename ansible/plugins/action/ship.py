"""Copy a file to a host that has no Python: by the connection alone, as the user who logs in."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Arguments: `src`, a file on the controller, and `dest`, its whole path on the host."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Copy the file; nothing in check mode."""
        result = super().run(tmp, task_vars)
        source, target = self._task.args["src"], self._task.args["dest"]
        if not os.path.isfile(source):
            raise AnsibleActionFail(f"{source} is no file on the controller")
        if not self._task.check_mode:
            self._connection.put_file(source, target)
        return {**result, "changed": True}
