#!/usr/bin/env bash
# Generates the secrets of an installation: a folder per service with a file per group of settings (SECRETS_DIR), and
# the files of the servers in docker-compose.yml. Existing files stay: remove a file to have it generated again.
#   deploy/secrets.sh [FOLDER]     needs openssl; FOLDER is ./secrets by default
set -euo pipefail
[[ $# -gt 0 ]] || cd "$(dirname "$0")/.."
command -v openssl >/dev/null || { echo "openssl is needed" >&2; exit 1; }
FOLDER=${1:-secrets}

# Only the owner can enter FOLDER. Files inside are readable to all, since the containers' users don't exist on the host.
mkdir -p -m 700 "$FOLDER"
cd "$FOLDER"
umask 022

keep() { # write standard input to the file, unless it exists
    mkdir -p "$(dirname "$1")"
    if [[ -e $1 ]]; then cat >/dev/null; else cat >"$1"; fi
}
password() { openssl rand -hex 24; }
key() { openssl rand -base64 32; }
ring() { printf '"keys": {"k1": "%s"}, "current": "k1"' "$(key)"; }
base64url() { base64 -w 0 | tr '+/' '-_' | tr -d '='; }

signing_key() { # a private Ed25519 key as JWK; in DER the key is at the end
    local pem secret public
    pem=$(openssl genpkey -algorithm ed25519)
    secret=$(openssl pkey -outform DER <<<"$pem" | tail -c 32 | base64url)
    public=$(openssl pkey -pubout -outform DER <<<"$pem" | tail -c 32 | base64url)
    printf '{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "%s", "d": "%s", "x": "%s"}' \
        "$(openssl rand -hex 4)" "$secret" "$public"
}

servers() {
    openssl rand -base64 512 | keep mongo/key
    password | keep mongo-passwords/root
    printf 'requirepass %s\n' "$(password)" | keep redis/redis.conf
    password | keep grafana/password
    mkdir -p gateway # for a certificate of your own, see docs/deployment.md
}

database() { # each service has its own user in MongoDB
    password | keep "mongo-passwords/$1"
    printf '{"url": "mongodb://%s:%s@mongo:27017/?replicaSet=rs0&authSource=admin"}\n' \
        "$1" "$(cat "mongo-passwords/$1")" | keep "$1/mongo"
}

redis() {
    printf '{"url": "redis://:%s@redis:6379/0"}\n' "$(cut -d ' ' -f 2 redis/redis.conf)" | keep "$1/redis"
}

bucket() {
    printf '{"access_key": "%s", "secret_key": "%s"}\n' "$(openssl rand -hex 10)" "$(password)" | keep "$1/blobs"
}

identity() { # NAME ACTION…
    local name=$1 actions
    shift
    printf -v actions '"%s", ' "$@"
    printf '{"name": "%s", "actions": [%s], "credentials": [%s]}' "$name" "${actions%, }" \
        "$(sed 's/access_key/accessKey/; s/secret_key/secretKey/' "$name/blobs")"
}

identities() { # each service can access only its own bucket in SeaweedFS; the backup reads all of them
    local service
    printf '{"identities": ['
    for service in "$@"; do identity "$service" "Admin:$service"; printf ', '; done
    identity backup "${@/#/List:}" "${@/#/Read:}"
    printf ']}\n'
}

sms_account() { # the rest comes from the carrier; notify names what is missing when it starts
    printf '{"sign_name": "", "templates": {}, %s, "receipts_token": "%s", "receipts_from": []}\n' "$2" "$(password)" | keep "notify/$1"
}

alert_channels() { # all of them optional: what is empty is off (docs/deployment.md)
    printf '{"url": ""}\n' | keep alerts/wecom
    printf '{"url": ""}\n' | keep alerts/heartbeat
    printf '{"url": "", "secret": ""}\n' | keep alerts/dingtalk
    printf '{"host": "", "port": 587, "tls": "starttls", "username": "", "password": "", "sender": "", "recipients": []}\n' |
        keep alerts/mail
}

servers
for service in identity records attachments signature notify subscriptions; do database $service; redis $service; done
redis portal
database backup
for service in identity records attachments signature backup; do bucket $service; done
printf '{"key": "%s"}\n' "$(key)" | keep backup/backup
identities identity records attachments signature | keep s3/s3.json
for service in identity signature notify; do
    printf '{%s, "index_key": "%s"}\n' "$(ring)" "$(key)" | keep $service/seal
done
for service in records attachments portal subscriptions; do printf '{%s}\n' "$(ring)" | keep $service/seal; done
printf '{"id": "records", "secret": "%s"}\n' "$(password)" | keep records/client # to be registered at identity: docs/deployment.md
printf '{%s}\n' "$(ring)" | keep identity/bus
keep notify/bus <identity/bus
for use in signing audit; do printf '{"keys": [%s]}\n' "$(signing_key)" | keep identity/$use; done
printf '{"hmac_key": "%s"}\n' "$(key)" | keep identity/codes
sms_account tencent '"secret_id": "", "secret_key": "", "sdk_app_id": ""'
sms_account aliyun '"access_key_id": "", "access_key_secret": ""'
alert_channels

if grep -q '"sign_name": ""' notify/tencent notify/aliyun; then
    echo "fill in the accounts at the SMS carriers: $FOLDER/notify/tencent, $FOLDER/notify/aliyun"
fi
if grep -q '"url": ""' alerts/wecom && grep -q '"url": ""' alerts/dingtalk && grep -q '"recipients": \[\]' alerts/mail; then
    echo "alerts reach nobody yet: $FOLDER/alerts/wecom, $FOLDER/alerts/dingtalk, $FOLDER/alerts/mail; also $FOLDER/alerts/heartbeat"
fi
