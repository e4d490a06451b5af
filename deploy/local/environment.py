"""The environment of each of our processes: the settings that any deployment has to give them."""

import json

from deploy.access.principals import ADMIN, BucketGrant, DatabaseGrant, Principal, principals
from deploy.local import access
from deploy.local.layout import Instance, roles_of
from deploy.local.ports import HOST
from deploy.local.secrets import EncryptionKeys, Secrets
from deploy.local.sms_carrier.templates import ALIYUN_IDS, TENCENT_IDS
from deploy.local.stack import ROOT, Stack
from kit.kafka.access import Grant

PARTITIONS = 6
CLOCK_LIBRARY = "clock.so"
_PARTITIONS_OF_CLUSTER = 24
"""As in production."""
_FETCH_WAIT_OF_CLUSTER = "2000"
"""Three brokers, each asked by every consumer: at 250 ms they take a core at rest."""
RECORDS_CLIENT = "records"
SMS_SDK_APP_ID = "1400000001"
SMS_SIGN_NAME = "上海建筑业"
CALLED_BY_PORTAL = ("identity", "records", "notify", "attachments", "signature")

Environment = dict[str, str]
_SUPER_USER = Principal(
    ADMIN,
    kafka=(Grant("cluster", "kafka-cluster", "alter"),),
    mongo=(DatabaseGrant("admin", ()),),
    commands=("@all",),
    buckets=(BucketGrant("*", ()),),
)


def partitions(stack: Stack) -> int:
    """Return the number of partitions of a topic."""
    return _PARTITIONS_OF_CLUSTER if stack.layout.cluster else PARTITIONS


def environment_of(stack: Stack, secrets: Secrets, instance: Instance) -> Environment:
    """Return what one instance of `python -m services.<service> <role>` needs."""
    service, _, role = instance.kind.partition("-")
    own = {
        "identity": _identity, "records": _records, "notify": _notify, "attachments": _attachments,
        "signature": _signature, "portal": _portal, "subscriptions": _subscriptions,
    }.get(service)  # fmt: skip
    given = _shared(stack) | _process(stack, service, role, instance) | (own(stack, secrets) if own else {})
    given |= _clock(stack, instance) if stack.layout.for_faults else {}
    return given | connections(stack, secrets, instance.kind) | certificate_environment(stack, instance.kind)


def tool_environment(stack: Stack, secrets: Secrets, tool: str) -> Environment:
    """Return what a command-line tool needs to connect, like `topics` or `dead-letters`."""
    return {
        "KAFKA__PARTITIONS": str(partitions(stack)),
        "KAFKA_REPLICATION": str(len(stack.layout.of("kafka"))),
        **connections(stack, secrets, tool),
    }


def connections(stack: Stack, secrets: Secrets, name: str) -> Environment:
    """Return the servers' addresses, and the user of a principal (or the super user) in each server that it may use."""
    principal = principals().get(name, _SUPER_USER)
    login = {"KAFKA__USER": name, "KAFKA__PASSWORD": secrets.password(name)}
    mongo = principal.mongo or principal.cluster
    return {
        "TLS__CA": str(access.ca(stack)),
        "KAFKA__SERVERS": access.kafka_servers(stack),
        **(login if principal.kafka else {}),
        **({"MONGO__URL": access.mongo_url(stack, secrets, name)} if mongo else {}),
        "REDIS__URL": access.redis_url(stack, secrets, name if principal.commands else ""),
        **(_s3(stack, secrets, name) if principal.buckets else {}),
    }


def certificate_environment(stack: Stack, name: str) -> Environment:
    """Return the settings of a process's own certificate."""
    certificate, key = (str(stack.certificates / f"{name}.{kind}") for kind in ("pem", "key"))
    return {"TLS__CERTIFICATE": certificate, "TLS__KEY": key}


def _s3(stack: Stack, secrets: Secrets, name: str) -> Environment:
    address = {"BLOBS__ENDPOINT": access.s3_url(stack)}
    return {**address, "BLOBS__ACCESS_KEY": name, "BLOBS__SECRET_KEY": secrets.password(name)}


def sms_carrier_environment(stack: Stack, secrets: Secrets) -> Environment:
    """Return what `python -m deploy.local.sms_carrier` needs: the accounts that notify uses."""
    return {
        "SMS_OPERATOR_HOST": stack.host("sms-carrier"),
        "SMS_OPERATOR_PORT": str(stack.ports.sms_carrier),
        "SMS_OPERATOR_DATA": str(stack.servers / "sms-carrier"),
        "SMS_OPERATOR_TENCENT": json.dumps(
            {
                "secret_id": secrets.sms_secret_id,
                "secret_key": secrets.sms_secret_key,
                "sdk_app_id": SMS_SDK_APP_ID,
                "sign_name": SMS_SIGN_NAME,
                "receipts_url": _receipts_url(stack, secrets, "tencent"),
            }
        ),
        "SMS_OPERATOR_ALIYUN": json.dumps(
            {
                "access_key_id": secrets.aliyun_key_id,
                "access_key_secret": secrets.aliyun_key_secret,
                "sign_name": SMS_SIGN_NAME,
                "receipts_url": _receipts_url(stack, secrets, "aliyun"),
            }
        ),
    }


def card_reader_environment(stack: Stack) -> Environment:
    """Return what `python -m deploy.local.card_reader` needs; only the portal's pages may read cards."""
    return {
        "CARD_READER_HOST": stack.host("card-reader"),
        "CARD_READER_PORT": str(stack.ports.card_reader),
        "CARD_READER_PAGES": stack.gateway,
    }


def alert_sender_environment(stack: Stack, secrets: Secrets) -> Environment:
    """Return what `python -m deploy.alerts` needs: every channel leads to the alert inbox."""
    inbox = f"http://{HOST}:{stack.ports.alert_inbox}"
    return {
        "SITE": stack.name,
        "RUNBOOKS_URL": "https://example.com/practitioner-portal/",
        "INTERNAL__PORT": str(stack.ports.alert_sender),
        "WECOM__URL": f"{inbox}/cgi-bin/webhook/send?key={secrets.wecom_key}",
        "DINGTALK__URL": f"{inbox}/robot/send?access_token={secrets.dingtalk_token}",
        "DINGTALK__SECRET": secrets.dingtalk_secret,
        "MAIL__HOST": HOST,
        "MAIL__PORT": str(stack.ports.alert_mailbox),
        "MAIL__TLS": "none",
        "MAIL__SENDER": "alerts@example.com",
        "MAIL__RECIPIENTS": '["operator@example.com"]',
        "HEARTBEAT__URL": f"{inbox}/heartbeat",
    }


def alert_inbox_environment(stack: Stack, secrets: Secrets) -> Environment:
    """Return what `python -m deploy.local.alert_inbox` needs."""
    return {
        "ALERT_INBOX_PORT": str(stack.ports.alert_inbox),
        "ALERT_INBOX_MAIL_PORT": str(stack.ports.alert_mailbox),
        "ALERT_INBOX_WECOM_KEY": secrets.wecom_key,
        "ALERT_INBOX_DINGTALK_TOKEN": secrets.dingtalk_token,
        "ALERT_INBOX_DINGTALK_SECRET": secrets.dingtalk_secret,
    }


def _receipts_url(stack: Stack, secrets: Secrets, provider: str) -> str:
    token = secrets.sms_receipts_tokens[provider]
    return f"{stack.gateway}/api/notify/receipts/{provider}?token={token}"


def _shared(stack: Stack) -> Environment:
    return {
        "ENVIRONMENT": "local",
        # glibc would keep an arena for each thread, and argon2's 19 MiB after the first hash
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": "1048576",
        "KAFKA__PARTITIONS": str(partitions(stack)),
        "KAFKA__SESSION_TIMEOUT_MS": "6000",
        **({"KAFKA__FETCH_WAIT_MS": _FETCH_WAIT_OF_CLUSTER} if stack.layout.cluster else {}),
        # everything shares one machine here: requests rather wait than be refused; the default is measured
        **({} if stack.name == "bench" else {"HTTP__TARGET_SECONDS": "2"}),
        "TOKENS__JWKS_URL": f"{stack.api('identity')}/api/identity/.well-known/jwks.json",
        "TOKENS__ISSUER": "practitioner-portal",
        "TOKENS__AUDIENCE": f"practitioner-portal-{stack.name}",
    }


def _process(stack: Stack, service: str, role: str, instance: Instance) -> Environment:
    ports = stack.ports.services[service]
    internal = ports.internal if role == "api" else ports.worker
    proxy = stack.host(f"{service}-api") if stack.layout.cluster else HOST
    return {
        "INSTANCE": str(instance.number),
        "HTTP__HOST": instance.host,
        "HTTP__PORT": str(ports.api),
        "HTTP__TRUSTED_PROXIES": proxy,
        "HTTP__OVERLOAD_STATUS": "529",
        "INTERNAL__HOST": instance.host,
        "INTERNAL__PORT": str(internal),
    }


def _clock(stack: Stack, instance: Instance) -> Environment:
    """Return what lets tests set a process's clock, by a file that says by how much it is off."""
    return {"LD_PRELOAD": str(stack.clocks / CLOCK_LIBRARY), "CLOCK_FILE": str(stack.clocks / instance.name)}


def _identity(stack: Stack, secrets: Secrets) -> Environment:
    return {
        "SIGNING__KEYS": json.dumps(secrets.signing_keys),
        "AUDIT__KEYS": json.dumps(secrets.audit_keys),
        **_seal(secrets.identity_seal),
        **_bus(secrets.bus),
        "CODES__HMAC_KEY": secrets.codes_key,
        "BLOBS__BUCKET": "identity",
        **_limits(stack),
        # browsers have passkeys for a name only, not for 127.0.0.1
        "PASSKEYS__SITE": f"http://localhost:{stack.ports.gateway}",
        # a developer doesn't wait three days
        "ERASURES__DELAY_SECONDS": "1",
        "ERASURES__PER_DAY": "1000",
    }


def _records(stack: Stack, secrets: Secrets) -> Environment:
    return {
        "BLOBS__BUCKET": "records",
        **_ring("SEAL", secrets.records_seal),
        "IDENTITY_URL": stack.api("identity"),
        "CLIENT__ID": RECORDS_CLIENT,
        "CLIENT__SECRET": secrets.records_client_secret,
    }


def _notify(stack: Stack, secrets: Secrets) -> Environment:
    return {
        **_seal(secrets.notify_seal),
        **_bus(secrets.bus),
        "TENCENT__ENDPOINT": _sms_carrier(stack),
        "TENCENT__PROTOCOL": "http",
        "TENCENT__SECRET_ID": secrets.sms_secret_id,
        "TENCENT__SECRET_KEY": secrets.sms_secret_key,
        "TENCENT__SDK_APP_ID": SMS_SDK_APP_ID,
        "TENCENT__SIGN_NAME": SMS_SIGN_NAME,
        "TENCENT__TEMPLATES": json.dumps(TENCENT_IDS),
        "TENCENT__RECEIPTS_TOKEN": secrets.sms_receipts_tokens["tencent"],
        "TENCENT__REGION": "ap-shanghai",
        "ALIYUN__ENDPOINT": _sms_carrier(stack),
        "ALIYUN__PROTOCOL": "http",
        "ALIYUN__ACCESS_KEY_ID": secrets.aliyun_key_id,
        "ALIYUN__ACCESS_KEY_SECRET": secrets.aliyun_key_secret,
        "ALIYUN__SIGN_NAME": SMS_SIGN_NAME,
        "ALIYUN__TEMPLATES": json.dumps(ALIYUN_IDS),
        "ALIYUN__RECEIPTS_TOKEN": secrets.sms_receipts_tokens["aliyun"],
        "RECEIPTS__POLL_SECONDS": "3",
        "NOTICES__WAIT_SECONDS": "6",
    }


def _attachments(stack: Stack, secrets: Secrets) -> Environment:
    own = {"BLOBS__BUCKET": "attachments", "RECORDS_URL": stack.api("records")}
    return _ring("SEAL", secrets.attachments_seal) | own


def _signature(stack: Stack, secrets: Secrets) -> Environment:
    return _seal(secrets.signature_seal) | {"BLOBS__BUCKET": "signature", "IDENTITY_URL": stack.api("identity")}


def _portal(stack: Stack, secrets: Secrets) -> Environment:
    apis = {name: stack.api(name) for name in CALLED_BY_PORTAL}
    return {
        "SERVICES": json.dumps(apis),
        "PROCESSES": json.dumps(internals_of(stack)),
        "READER_ORIGIN": f"http://{stack.host('card-reader')}:{stack.ports.card_reader}",
        "WINDOWS": str(ROOT / "deploy/local/windows.yaml"),
        **_ring("SEAL", secrets.portal_seal),
    }


def _subscriptions(_stack: Stack, secrets: Secrets) -> Environment:
    # a developer doesn't wait an hour for the next attempt at a receiver
    return _ring("SEAL", secrets.subscriptions_seal) | {"WEBHOOKS__PAUSES": "[0.5, 1, 2, 5]"}


def internals_of(stack: Stack) -> dict[str, str]:
    """Return the internal address of each process, with its health checks and metrics."""
    return {
        instance.name: f"https://{instance.host}:{port}"
        for service, ports in stack.ports.services.items()
        for role, port in zip(roles_of(service), (ports.internal, ports.worker), strict=False)
        for instance in stack.layout.of(f"{service}-{role}")
    }


def _sms_carrier(stack: Stack) -> str:
    return f"{stack.host('sms-carrier')}:{stack.ports.sms_carrier}"


def _seal(seal: EncryptionKeys) -> Environment:
    return _ring("SEAL", seal) | {"SEAL__INDEX_KEY": seal.index_key}


def _bus(bus: EncryptionKeys) -> Environment:
    return _ring("BUS", bus)


def _ring(name: str, ring: EncryptionKeys) -> Environment:
    return {f"{name}__KEYS": json.dumps(ring.keys), f"{name}__CURRENT": ring.current}


def _limits(stack: Stack) -> Environment:
    """Raise the limits per address and per clerk, since tests have one of each; other limits keep their defaults."""
    counted = (
        "PER_ADDRESS_PER_MINUTE", "HASHINGS_PER_NETWORK", "WRONG_SECRETS_PER_ADDRESS", "REBINDINGS_PER_CLERK_PER_DAY",
    )  # fmt: skip
    return {} if stack.name == "dev" else {f"LIMITS__{name}": "100000" for name in counted}
