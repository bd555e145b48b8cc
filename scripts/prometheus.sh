#!/bin/sh
# Get the programs prometheus and promtool for the tests, if they are not installed.
exec "$(dirname "$0")/unpack.sh" prometheus usr/bin/prometheus usr/bin/promtool
