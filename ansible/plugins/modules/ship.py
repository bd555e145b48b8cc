#!/usr/bin/python
"""The documentation of the action `ship`, which does all the work on the controller."""

DOCUMENTATION = """
module: ship
short_description: Copy a file to a host that has no Python
version_added: 0.1.0
description:
  - Copies a file by the connection alone, as the user who logs in.
author: The multinic developers (@multinic)
options:
  src:
    description: A file on the controller.
    type: path
    required: true
  dest:
    description: Its whole path on the host.
    type: str
    required: true
"""
EXAMPLES = """
- name: Copy an image
  multinic.multinic.ship:
    src: /tmp/image.tar
    dest: /var/tmp/image.tar
"""
RETURN = "# Nothing more than any action."
