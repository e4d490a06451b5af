#!/usr/bin/env bash
# Installs what the local stack needs on this machine; takes well under a second when all is installed.
#   setup.sh          everything: system packages, Python packages, Kafka
#   setup.sh --venv   only the Python packages (enough for `make check`)
#   setup.sh --cluster   everything, and what a cluster in namespaces needs (for `make cluster` and `make sweep`)
#   setup.sh --containers   everything, and a container engine with Docker Compose (for `make containers`)
set -euo pipefail
cd "$(dirname "$0")/../.."

KAFKA_HOME=.local/kafka
PYTHON_STAMP=.venv/installed-lock
KAFKA_STAMP=$KAFKA_HOME/installed-pom
COMPOSE=github.com/docker/compose/v2

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

python_is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14; do
        if command -v "$name" >/dev/null && python_is_new_enough "$name"; then echo "$name"; return; fi
    done
}

java_is_new_enough() {
    local version
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [[ ${version:-0} -ge 17 ]]
}

font_is_here() { find /usr/share/fonts /usr/local/share/fonts -name "$1" 2>/dev/null | grep -q .; }

# Prints the Debian package of each missing program, one a line.
missing_packages() {
    local python
    python=$(find_python)
    [[ -n $python ]] || echo python3
    "${python:-false}" -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
    [[ ${1:-} == --venv ]] && return
    java_is_new_enough || echo openjdk-17-jre-headless
    command -v mvn >/dev/null || echo maven
    command -v redis-server >/dev/null || echo redis-server
    # receives logs, in tests
    [[ -x /usr/sbin/rsyslogd ]] || echo rsyslog
    find /usr/lib -name imrelp.so 2>/dev/null | grep -q . || echo rsyslog-relp
    # for the browser tests
    command -v chromium >/dev/null || echo chromium
    # the mongod from the wheel links against it
    ldconfig -p | grep -q 'libcurl\.so\.4 ' || echo libcurl4
    # together they have every character that a name may hold
    font_is_here NotoSerifCJK-Regular.ttc || echo fonts-noto-cjk
    font_is_here BabelStoneHan.ttf || echo fonts-babelstone-han
    font_is_here HanaMinB.ttf || echo fonts-hanazono
}

# Optional: without them the stack has no metrics over time and no alerts.
watching_packages() {
    command -v prometheus >/dev/null || echo prometheus
    command -v prometheus-node-exporter >/dev/null || echo prometheus-node-exporter
    command -v prometheus-alertmanager >/dev/null || echo prometheus-alertmanager
    command -v prometheus-redis-exporter >/dev/null || echo prometheus-redis-exporter
    command -v prometheus-blackbox-exporter >/dev/null || echo prometheus-blackbox-exporter
}

# For `make containers`.
engine_packages() {
    command -v dockerd >/dev/null || echo docker.io
    command -v iptables >/dev/null || echo iptables
    command -v debootstrap >/dev/null || echo debootstrap
}

# For `make cluster`, and for the clocks that `make sweep` sets.
cluster_packages() {
    command -v haproxy >/dev/null || echo haproxy
    command -v ip >/dev/null || echo iproute2
    command -v iptables >/dev/null || echo iptables
    command -v gcc >/dev/null || echo gcc libc6-dev
}

may_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

# Packages must not start their servers: policy-rc.d forbids it while we install.
apt_install() {
    local policy=/usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get install -y -q --no-install-recommends "$@" >&2 || { apt-get update -q >&2 && apt-get install -y -q --no-install-recommends "$@" >&2; }
}

# Newer Debians have no Java 17; any Java from 17 on works.
replace_unavailable_java() {
    if [[ " $* " == *" openjdk-17-jre-headless "* ]] && ! apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        apt-get update -q >&2
        apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 || set -- "${@/openjdk-17-jre-headless/default-jre-headless}"
    fi
    printf '%s\n' "$@"
}

system_packages() {
    local missing
    mapfile -t missing < <(missing_packages "${1:-}")
    [[ ${#missing[@]} == 0 ]] && return
    may_install || fail "please install these packages (names are Debian's; Java may be any version from 17 on, Python from 3.11 on): ${missing[*]}"
    say "installing ${missing[*]}"
    mapfile -t missing < <(replace_unavailable_java "${missing[@]}")
    apt_install "${missing[@]}"
    mapfile -t missing < <(missing_packages "${1:-}")
    [[ ${#missing[@]} == 0 ]] || fail "still missing after installing: ${missing[*]} (Java must be 17 or newer, Python 3.11 or newer)"
}

watching() {
    local missing
    mapfile -t missing < <(watching_packages)
    [[ ${#missing[@]} == 0 ]] && return
    if may_install; then
        say "installing ${missing[*]}"
        apt_install "${missing[@]}" || say "${missing[*]} are not available: no alerts here"
    else
        say "no alerts here; for them install: ${missing[*]} (without starting their services)"
    fi
}

# uv does not read pip's configuration: pass it the index of this machine's pip, if there is one.
use_pips_index() {
    local index
    index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
    [[ -z $index ]] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
}

# Bytecode is compiled here: with PYTHONDONTWRITEBYTECODE each process would compile for seconds at each start.
# Joined by &&, because bash ignores `set -e` in a function whose status is tested.
install_python_packages() {
    say "installing the Python packages"
    { .venv/bin/python -c 'import pip' 2>/dev/null || "$(find_python)" -m venv --clear .venv; } &&
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt &&
        use_pips_index &&
        UV_HTTP_TIMEOUT=180 .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode \
            requirements/dev.txt requirements/uv.txt &&
        fingerprint_python >$PYTHON_STAMP
}

fingerprint_python() { cat requirements/dev.txt requirements/uv.txt | sha256sum; .venv/bin/python --version; }

python_packages() {
    [[ -f $PYTHON_STAMP ]] && [[ $(fingerprint_python 2>/dev/null) == "$(cat $PYTHON_STAMP)" ]] && return
    install_python_packages
}

fingerprint_kafka() { sha256sum deploy/local/kafka/pom.xml; }

kafka() {
    [[ -f $KAFKA_STAMP ]] && [[ $(fingerprint_kafka) == "$(cat $KAFKA_STAMP)" ]] && return
    say "fetching Kafka"
    rm -rf $KAFKA_HOME/libs
    mkdir -p $KAFKA_HOME &&
        mvn -q -B -f deploy/local/kafka/pom.xml -Dstyle.color=never dependency:copy-dependencies \
            -DoutputDirectory="$PWD/$KAFKA_HOME/libs" >&2 &&
        fingerprint_kafka >$KAFKA_STAMP
}

# Installs the packages that a function names.
more_packages() {
    local missing
    mapfile -t missing < <("$1")
    [[ ${#missing[@]} == 0 ]] && return
    may_install || fail "please install, as root on Debian: ${missing[*]}"
    say "installing ${missing[*]}"
    apt_install "${missing[@]}" || fail "${missing[*]} could not be installed"
}

engine() {
    more_packages engine_packages
    command -v go >/dev/null || fail "please install Go 1.24 or newer: Docker Compose is built here"
    command -v npm >/dev/null || fail "please install Node.js 20 or newer with npm: MongoDB's shell comes from there"
    say "building Docker Compose"
    mkdir -p .local/containers
    go build -C deploy/containers/docker-compose -o "$PWD/.local/containers/docker-compose" \
        -ldflags "-X $COMPOSE/internal.Version=$(go -C deploy/containers/docker-compose list -m -f '{{.Version}}' $COMPOSE)" \
        $COMPOSE/cmd || fail "Docker Compose could not be built"
}

# `make up` and `make test` may run at the same time.
one_at_a_time() {
    mkdir -p .local
    exec 9>.local/setup.lock
    flock 9
}

main() {
    one_at_a_time
    system_packages "${1:-}"
    if [[ ${1:-} == --venv ]]; then
        python_packages || fail "the Python packages could not be installed"
        return
    fi
    local fetching
    watching &
    kafka &
    fetching=$!
    python_packages || { kill $fetching 2>/dev/null || true; fail "the Python packages could not be installed"; }
    wait $fetching || fail "Kafka could not be fetched"
    wait
    [[ ${1:-} != --cluster ]] || more_packages cluster_packages
    [[ ${1:-} != --containers ]] || engine
}

main "$@"
