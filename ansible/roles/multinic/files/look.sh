#!/bin/sh
# Sent to the host as it is, before anything else: it needs sh alone. Prints what the role decides by.
for python in /usr/bin/python3.15 /usr/bin/python3.14 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 \
    /usr/bin/python3.10 /usr/bin/python3 /usr/local/bin/python3; do
    [ -x "$python" ] || continue
    echo "seen=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
    echo "python=$python"
    break
done
for tool in apt-get zypper dnf; do
    command -v "$tool" >/dev/null 2>&1 || continue
    echo "tool=$tool"
    break
done
# The program that is there, and how it came: form and version.
if [ -x "$environment/bin/multinic" ]; then
    echo "program=$environment/bin/multinic"
    echo "package=wheel $("$environment/bin/multinic" --version | cut -d ' ' -f 2)"
elif [ -x /usr/bin/multinic ]; then
    echo "program=/usr/bin/multinic"
    if command -v rpm >/dev/null 2>&1 && rpm --query --quiet multinic 2>/dev/null; then
        echo "package=rpm $(rpm --query --queryformat '%{VERSION}-%{RELEASE}' multinic)"
    else
        echo "package=deb $(dpkg-query --show --showformat='${Version}' multinic 2>/dev/null)"
    fi
fi
[ ! -d /run/systemd/system ] || echo "systemd=yes"
true
