#!/usr/bin/env bash
# Makes the secrets and certificates of an installation that are missing, and renews certificates that near their end.
#   deploy/secrets.sh [FOLDER] [--release NAME] [--rotate PRINCIPAL]     FOLDER is ./secrets by default
# Runs in the image, which is built if necessary, or with a Python that has its packages: PYTHON=.venv/bin/python
# KAFKA_PUBLIC (as in .env) is the address under which subscribers find Kafka: its certificate is for that name too.
set -euo pipefail
FOLDER=secrets
[[ $# -eq 0 || $1 == --* ]] || { FOLDER=$1; shift; }
FOLDER=$(realpath -m "$FOLDER")
cd "$(dirname "$0")/.."
KAFKA_PUBLIC=${KAFKA_PUBLIC:-$(sed -n 's/^KAFKA_PUBLIC=//p' .env 2>/dev/null || true)}
export KAFKA_PUBLIC=${KAFKA_PUBLIC:-127.0.0.1:9094}

# Only the owner can enter FOLDER.
mkdir -p -m 700 "$FOLDER"
[[ -n ${PYTHON:-} || ! -x .venv/bin/python ]] || PYTHON=.venv/bin/python
if [[ -n ${PYTHON:-} ]]; then
    exec "$PYTHON" -m deploy.access secrets "$FOLDER" "$@"
fi
IMAGE=practitioner-portal:${VERSION:-0.1.0}
docker image inspect "$IMAGE" >/dev/null 2>&1 || docker build --file deploy/Dockerfile --tag "$IMAGE" . >&2
exec docker run --rm --network none --user "$(id -u):$(id -g)" --env KAFKA_PUBLIC --volume "$FOLDER:/made" \
    "$IMAGE" deploy.access secrets /made "$@"
