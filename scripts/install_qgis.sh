#!/bin/sh
# Install Debian's QGIS with its Python bindings for `make test-qgis` (about 1.5 GB). Run as root, or
# with sudo.
set -eu
root=""
[ "$(id -u)" = 0 ] || root=sudo
$root apt-get update
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends qgis python3-qgis
