#!/bin/sh
# Get the programs prometheus and promtool for the tests, if they are not installed.
# Since Debian 13 promtool has a package of its own.
exec "$(dirname "$0")/unpack.sh" "prometheus promtool" usr/bin/prometheus usr/bin/promtool
