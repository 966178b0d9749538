#!/bin/sh
# Pins every dependency with the hashes of its files, and without the address of any index.
set -eu
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install -q pip-tools
pin() {
    "$scratch/venv/bin/pip-compile" -q --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
        --no-emit-find-links --no-emit-trusted-host --no-header "$@"
}
pin pyproject.toml -o requirements/run.txt
for name in build test infra bench; do
    pin "requirements/$name.in" -o "requirements/$name.txt"
done
