#!/bin/sh
# A Chromium for the browser tests: the system's, else the distribution's package, else Playwright's.
# Usage: install_browser.sh PATH_TO_PLAYWRIGHT
set -eu

for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then
    exit 0
  fi
done
[ -n "${NEMO_LAB_CHROMIUM:-}" ] && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  as_root="sudo -n"
fi
if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
  command -v chromium >/dev/null 2>&1 && exit 0
fi
exec "$1" install chromium
