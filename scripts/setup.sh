#!/bin/sh
# Creates .venv and installs one set of pinned dependencies: run, test, infra or bench.
set -eu
set_name=$1
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Audobon needs Python 3.11 or newer; $python is not. Name another: make run PYTHON=python3.12" >&2
    exit 1
fi
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "creating .venv"
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        # Debian keeps pip's installer apart; a pip that is there already can fill the environment.
        if ! { "$python" -m venv --without-pip .venv && "$python" -m pip --python .venv/bin/python install -q pip; }; then
            rm -rf .venv
            echo "Python cannot create an environment here. On Debian or Ubuntu: apt install python3-venv" >&2
            exit 1
        fi
    fi
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check -q "$@"; }

case $set_name in
run)
    echo "installing Audobon's pinned dependencies (about a minute the first time)"
    pip install --require-hashes -r requirements/build.txt -r requirements/run.txt
    pip install --no-deps --no-build-isolation -e .
    ;;
test)
    echo "installing the pinned dependencies of the tests"
    pip install --require-hashes -r requirements/test.txt
    ;;
infra)
    # The scanner of the infrastructure wants other versions of what we use, so it lives apart.
    echo "installing the pinned checks of infra/ into .venv-infra"
    .venv/bin/python -m venv .venv-infra
    .venv-infra/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r requirements/infra.txt
    ;;
bench)
    # The peers bring another build of OpenCV, so they live apart.
    echo "installing the pinned peers into .venv-peers"
    .venv/bin/python -m venv .venv-peers
    .venv-peers/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r requirements/bench.txt
    ;;
*)
    echo "no set of dependencies is named $set_name" >&2
    exit 2
    ;;
esac
