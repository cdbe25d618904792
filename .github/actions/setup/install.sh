#!/usr/bin/env bash
# Installs pgolf from the checkout that this file belongs to, and its dependencies by hash, into $RUNNER_TEMP.
# -I: what lies in the working directory, a pull request's files perhaps, is neither imported nor read.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
venv="${RUNNER_TEMP:?}/pgolf-venv"
pip=("$venv/bin/python" -I -m pip --quiet --disable-pip-version-check install)

"${PYTHON:-python3}" -I -m venv "$venv"
"${pip[@]}" --require-hashes --only-binary :all: --requirement "$here/requirements.txt"
"${pip[@]}" --no-deps --no-index --no-build-isolation "$here/../../.."
printf 'pgolf=%s\n' "$venv/bin/pgolf" >> "${GITHUB_OUTPUT:?}"
