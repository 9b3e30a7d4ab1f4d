#!/bin/sh
# Install Debian's Chromium and its driver for `make test-browser`. Run as root, or with sudo.
set -eu
root=""
[ "$(id -u)" = 0 ] || root=sudo
$root apt-get update
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core
