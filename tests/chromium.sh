#!/bin/sh
# The browser tests drive an installed Chromium or Chrome; on Debian and Ubuntu install it when the user may.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
how="install Chromium (Debian, Ubuntu: sudo apt-get install chromium; Fedora: sudo dnf install chromium), then run make test again"
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing the distribution's chromium for the browser tests"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "The browser tests need Chromium or Chrome, and none was found: $how" >&2
exit 1
