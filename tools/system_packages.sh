#!/bin/sh
# Install the Debian packages that are missing. Needs root.
#   sh tools/system_packages.sh libgl1 chromium
set -eu
missing=""
for name in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null | grep -q '^installed' || missing="$missing $name"
done
[ -n "$missing" ] || exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
