#!/bin/sh
# The published packages in an environment of their own, build/peers (or the folder given). Some minutes: fasttext is compiled.
set -eu
here=$(dirname "$0")
folder=${1:-$here/../../build/peers}
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
