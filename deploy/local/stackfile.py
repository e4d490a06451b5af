"""`stack.json`: the addresses and credentials of a running stack, for tests, demos and people."""

import json
from typing import Any

from deploy.access.principals import ADMIN
from deploy.local import access
from deploy.local.ports import HOST, ONLY_API
from deploy.local.prometheus import watchers
from deploy.local.secrets import Secrets, StaffLogin, write_private
from deploy.local.stack import Stack

CLIENT_ID = "demo-qualification"
CLIENT_SCOPES = (
    "practitioners:lookup", "practitioners:read", "records:read", "attachments:read", "attachments:original",
    "signature:read", "intake", "certificates:issue", "changes:read", "imports:write",
)  # fmt: skip
DOCUMENT_NUMBER = "310101199003071230"
PHONE = "13800005678"


def write_stackfile(stack: Stack, secrets: Secrets) -> None:
    """Write stack.json; called last, so that the file exists only for a stack that is ready."""
    write_private(stack.stackfile, json.dumps(description(stack, secrets), ensure_ascii=False, indent=2) + "\n")


def description(stack: Stack, secrets: Secrets) -> dict[str, Any]:
    """Return the contents of stack.json; addresses are URLs, but `kafka` is host:port, as Kafka clients expect.

    `kafka_user`, and the users in `mongo`, `redis` and `s3`, are the super user; `principals` has the passwords of
    all users, `kafka_properties` is a file for Kafka's own tools, for the demo's `subscriber`.
    """
    ca = str(access.ca(stack))
    return {
        "name": stack.name,
        "gateway": stack.gateway,
        "portal": f"{stack.gateway}/",
        "ca": ca,
        "kafka": access.kafka_servers(stack),
        "kafka_user": ADMIN,
        "kafka_password": secrets.password(ADMIN),
        "kafka_properties": str(stack.client_properties),
        "mongo": f"{access.mongo_url(stack, secrets)}&tlsCAFile={ca}",
        "redis": f"{access.redis_url(stack, secrets)}?ssl_ca_certs={ca}",
        "s3": {"endpoint": access.s3_url(stack), "access_key": ADMIN, "secret_key": secrets.password(ADMIN)},
        "principals": access.passwords(secrets),
        "subscriber": {"user": access.SUBSCRIBER_USER, "password": secrets.password(access.SUBSCRIBER_USER)},
        "sms_inbox": f"http://{stack.host('sms-carrier')}:{stack.ports.sms_carrier}",
        "card_reader": f"http://{stack.host('card-reader')}:{stack.ports.card_reader}",
        "prometheus": _url(stack.ports.prometheus) if "prometheus" in watchers(stack) else None,
        "node_exporter": _url(stack.ports.node_exporter) if "node-exporter" in watchers(stack) else None,
        "exporters": [
            _closed(port)
            for name, port in (
                ("server-exporter", stack.ports.server_exporter),
                ("redis-exporter", stack.ports.redis_exporter),
            )
            if name in watchers(stack)
        ],
        "alertmanager": _url(stack.ports.alertmanager) if "alertmanager" in watchers(stack) else None,
        "alert_sender": _url(stack.ports.alert_sender) if "alert-sender" in watchers(stack) else None,
        "alert_inbox": _url(stack.ports.alert_inbox) if "alert-inbox" in watchers(stack) else None,
        "services": {
            name: {"api": _closed(ports.api), "internal": _closed(ports.internal)}
            | ({} if name in ONLY_API else {"worker": _closed(ports.worker)})
            for name, ports in stack.ports.services.items()
        },
        "demo": _demo(secrets),
        "data": str(stack.data),
        "environments": str(stack.environments),
        "supervisor": {"socket": str(stack.socket), "config": str(stack.supervisor_config)},
    }


def _demo(secrets: Secrets) -> dict[str, Any]:
    return {
        "practitioner": {"document_number": DOCUMENT_NUMBER, "phone": PHONE},
        "clerk": _login(secrets.clerk),
        "admin": _login(secrets.admin),
        "operator": _login(secrets.operator),
        "client": {"client_id": CLIENT_ID, "client_secret": secrets.client_secret, "scopes": list(CLIENT_SCOPES)},
    }


def _login(staff: StaffLogin) -> dict[str, str]:
    return staff.model_dump()


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _closed(port: int) -> str:
    return f"https://{HOST}:{port}"
