#!/bin/sh
# Types and lint of the pages' scripts (package.json), where Node is installed. Its packages come once; then no network is needed.
if ! command -v npm >/dev/null 2>&1; then
    echo "The pages' scripts were not checked: npm is not installed"
    exit 0
fi
if [ ! node_modules/.package-lock.json -nt package-lock.json ] && ! npm ci --silent --no-audit --no-fund --fetch-retries=1; then
    echo "The pages' scripts were not checked: npm could not install the packages of package-lock.json"
    exit 0
fi
npm run --silent check
