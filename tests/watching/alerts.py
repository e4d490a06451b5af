"""For each alert series that make it fire, and similar ones that must not: in promtool's notation."""

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """At time `at` the alert fires for `fires`, with these labels and this summary, and not for `quiet`, if any.

    The series have one value each `step`.
    """

    alert: str
    fires: Series
    quiet: Series | None
    labels: dict[str, str]
    summary: str
    at: str = "5m"
    step: str = "15s"


def requests(process: str, status: str, values: str) -> Series:
    """A counter of requests, by status."""
    return {f'http_request_duration_seconds_count{{process="{process}",status="{status}"}}': values}


def durations(process: str, handler: str, fast: str, every: str) -> Series:
    """A histogram of requests: those within a second, and all."""
    name, labels = "http_request_duration_seconds", f'process="{process}",handler="{handler}",status="200"'
    return {
        f'{name}_bucket{{{labels},le="1"}}': fast,
        f'{name}_bucket{{{labels},le="5"}}': every,
        f'{name}_bucket{{{labels},le="+Inf"}}': every,
        f"{name}_count{{{labels}}}": every,
    }


def backup(values: str) -> Series:
    """The time of the newest dump, one an hour."""
    labels = '{process="backup"}'
    return {
        f"backup_last_success_timestamp_seconds{labels}": values, f"backup_interval_seconds{labels}": "3600x60",
    }  # fmt: skip


def check(process: str, name: str, values: str) -> Series:
    """A readiness check of a process."""
    return {f'check_ok{{process="{process}",check="{name}"}}': values}


def ended_sessions_reader(process: str, values: str) -> Series:
    """Whether a process receives ended sessions."""
    return {f'ended_sessions_reader_up{{process="{process}",stream="identity:ended_sessions"}}': values}


def codes(requested: str, right: str) -> Series:
    """Codes that were requested, and codes that were right."""
    return {'logins_total{outcome="asked"}': requested, 'logins_total{outcome="right"}': right}


def finished(delivered: str, failed: str) -> Series:
    """Messages by their last state."""
    return {
        'sms_messages_total{state="delivered",provider="tencent"}': delivered,
        'sms_messages_total{state="failed",provider="tencent"}': failed,
    }


def checked(accepted: str, refused: str) -> Series:
    """Uploaded files, by verdict."""
    return {
        'uploads_checked_total{what="attachment",verdict="accepted"}': accepted,
        'uploads_checked_total{what="attachment",verdict="refused"}': refused,
    }


def denied(cause: str, values: str) -> Series:
    """Denied requests, as security events of records-api."""
    return event("access_denied", values, "denied", cause, "records-api")


def event(name: str, values: str, outcome: str = "done", cause: str = "", process: str = "identity-api") -> Series:
    """A counter of security events."""
    labels = f'process="{process}",event="{name}",outcome="{outcome}",cause="{cause}"'
    return {f"security_events_total{{{labels}}}": values}


def disk(available: str, mountpoint: str = "/data") -> Series:
    """A disk of 1,000 bytes."""
    labels = f'{{instance="mongo-1:9100",mountpoint="{mountpoint}"}}'
    return {
        f"node_filesystem_avail_bytes{labels}": available,
        f"node_filesystem_size_bytes{labels}": "1000x40",
        f"node_filesystem_readonly{labels}": "0x40",
    }


def posts(slo: str, fine: str, failed: str) -> Series:
    """Requests that a service level counts: answered, and failed with 503."""
    process, handler = {
        "login": ("identity-api", "/api/identity/login/sessions"),
        "save": ("records-api", "/api/records/practitioners/{practitioner_id}/records"),
    }[slo]
    labels = f'process="{process}",handler="{handler}",method="POST"'
    counted = {"201": fine, "503": failed}
    return {f'http_request_duration_seconds_count{{{labels},status="{status}"}}': v for status, v in counted.items()}


def verdicts(every: str, soon: str) -> Series:
    """Verdicts, and those within 30 s."""
    labels = 'process="attachments-worker",what="attachment"'
    return {
        f"upload_verdict_seconds_count{{{labels}}}": every,
        f'upload_verdict_seconds_bucket{{{labels},le="30.0"}}': soon,
    }


def connections(current: str, available: str) -> Series:
    """Connections to MongoDB."""
    return {'mongo_connections{state="current"}': current, 'mongo_connections{state="available"}': available}


def redis_memory(used: str, most: str) -> Series:
    """Redis' memory; `most` 0: no limit."""
    return {"redis_memory_used_bytes": used, "redis_memory_max_bytes": most}


def memory(available: str) -> Series:
    """A machine with 100 bytes of memory."""
    labels = '{instance="node:9100"}'
    return {f"node_memory_MemAvailable_bytes{labels}": available, f"node_memory_MemTotal_bytes{labels}": "100x40"}


MEASURED = 'server_measured{server="kafka"}'
SUBSCRIBER = 'subscriber_lag_events{group="qualification.records"}'
DOOR = 'probe_success{job="public-door",instance="https://portal.example.cn/login"}'
EXPIRY = 'probe_ssl_earliest_cert_expiry{job="public-door",instance="https://portal.example.cn/login"}'
OWN_EXPIRY = 'certificate_expires_timestamp_seconds{process="records-api",instance="10.0.0.7:9000"}'
KAFKAS_EXPIRY = 'probe_ssl_earliest_cert_expiry{job="server-certificates",instance="kafka:9092"}'
UP = 'up{job="processes",process="records-api"}'
SENDER_UP = 'up{job="alerting",instance="alert-sender:9000"}'
STARTED = 'process_start_time_seconds{job="processes",process="notify-worker"}'
LAG = 'publisher_lag_seconds{service="records"}'
LEADS = 'publisher_leads{{service="records",process="records-worker-{}"}}'
OPLOG = 'publisher_oplog_seconds{service="records"}'
GROUP = "attachments.check"
STOPPED = 'consumer_stopped{group="notify.requests",process="notify-worker"}'
STATE = 'sms_carrier_state{{provider="{}"}}'

CRITICAL, WARNING = {"severity": "critical"}, {"severity": "warning"}
RECORDS = {"process": "records-api"}

CASES = [
    Case(
        "ProcessDown", {UP: "1 0x20"}, {UP: "1 0 0 1x20"},  # restarted
        CRITICAL | RECORDS | {"job": "processes"}, "records-api does not answer",
    ),
    Case(
        "MetricsMissing", {'up{job="prometheus"}': "1x40"}, {UP: "0x40"},
        CRITICAL | {"job": "processes"}, "Prometheus has no target in its job processes", at="6m",
    ),
    Case(
        "ProcessNotReady", check("records-api", "tokens", "0x40"), check("records-api", "mongo", "0x40"),
        WARNING | RECORDS | {"check": "tokens"}, "records-api is not ready: tokens",
    ),
    Case(
        "ProcessCrashLooping", {STARTED: "1x4 50x4 90x4 120x4"}, {STARTED: "1x8 50x8"},  # a new version
        CRITICAL | {"process": "notify-worker", "job": "processes"},
        "notify-worker was started 3 times within 15 minutes",
    ),
    Case(
        "ManyServerErrors",
        requests("records-api", "200", "0+90x40") | requests("records-api", "503", "0+10x40"),
        requests("records-api", "200", "0+90x40") | requests("records-api", "503", "0x10 5x30"),
        CRITICAL | RECORDS, "records-api answers 10% of its requests with 5xx",
    ),
    Case(
        "ResponsesSlow",
        durations("records-api", "/records", "0+80x80", "0+100x80"),
        durations("records-api", "/api/records/changes", "0x80", "0+100x80"),  # a long poll
        WARNING | RECORDS, "one in a hundred responses of records-api takes 4.8s", at="15m",
    ),
    Case(
        "TokensRefused",
        requests("records-api", "200", "0+50x40") | requests("records-api", "401", "0+50x40"),
        requests("records-api", "200", "0+90x40") | requests("records-api", "401", "0+10x40"),
        CRITICAL | RECORDS, "records-api answers 50% of its requests with 401", at="8m",
    ),
    Case(
        "PublisherStalled", {LAG: "0+15x18 _ _ _x20"}, {LAG: "0 15 30 45 0 15 30 45 0x40"},  # restarted
        CRITICAL | {"service": "records"}, "changes of records have waited for 4m 30s to be published",
    ),
    Case(
        "NoPublisher",
        {LEADS.format(0): "1 0x40", LEADS.format(1): "0x40"}, {LEADS.format(0): "1 0x40", LEADS.format(1): "0 0 1x40"},
        CRITICAL | {"service": "records"}, "no worker of records publishes",
    ),
    Case(
        "PublisherRestarting",
        {'publisher_restarts_total{service="records"}': "0+1x40"},
        {'publisher_restarts_total{service="records"}': "0 1 2 2x40"},  # Kafka was restarted
        WARNING | {"service": "records"}, "the publisher of records restarted 40 times within 10 minutes", at="10m",
    ),
    Case(
        "PublisherPositionLost",
        {'publisher_snapshots_total{service="records"}': "0x4 1x40"},
        {'publisher_snapshots_total{service="records"}': "1x40"},  # the first snapshot
        WARNING | {"service": "records"}, "records publishes a snapshot of every document",
    ),
    Case(
        "VersionNotPublished",
        {'publisher_failed_events_total{service="records"}': "0x4 1x40"},
        {'publisher_failed_events_total{service="records"}': "0x40"},
        CRITICAL | {"service": "records"}, "a version of a document of records could not be turned into its event",
    ),
    Case(
        "OplogTooShort", {OPLOG: "90000x320"}, {OPLOG: "3600+15x320"},  # not full yet
        WARNING | {"service": "records"}, "the oplog of records covers only 1d 1h 0m 0s", at="80m",
    ),
    Case(
        "ConsumerLagHigh",
        {f'consumer_lag_events{{group="{GROUP}",partition="{one}"}}': "600x40" for one in (0, 1)},
        {f'consumer_lag_events{{group="{GROUP}",partition="{one}"}}': "600x8 0x40" for one in (0, 1)},
        WARNING | {"group": GROUP}, "1200 events wait for attachments.check", at="7m",
    ),
    Case(
        "ConsumerStalled",
        check("notify-worker", "notify.requests", "1 0x40"),
        check("notify-worker", "notify.requests", "1 0x40") | {STOPPED: "1x40"},  # has an alert of its own
        CRITICAL | {"check": "notify.requests"}, "notify.requests makes no progress while events wait",
    ),
    Case(
        "ConsumerStopped", {STOPPED: "0 0 1 _x4 0x40"}, {STOPPED: "0x40"},
        CRITICAL | {"group": "notify.requests"},
        "notify.requests stopped: too many events that it can't handle", at="3m",
    ),
    Case(
        "DeadLetters",
        {f'dead_letters_open{{group="{GROUP}",process="attachments-worker-{one}"}}': "0 2x40" for one in (0, 1)},
        {f'dead_letters_open{{group="{GROUP}",process="attachments-worker-{one}"}}': "2 0x40" for one in (0, 1)},
        WARNING | {"group": GROUP}, "2 dead letters of attachments.check are neither replayed nor dropped",
    ),
    Case(
        "SmsCarrierDown",
        {STATE.format("tencent"): "0 2 1 2 1 2 1 2 1 2 1 2x20", STATE.format("aliyun"): "0x40"},
        {STATE.format("tencent"): "0 2 0x40", STATE.format("aliyun"): "0x40"},
        WARNING | {"provider": "tencent"}, "the SMS carrier tencent fails and is not used", at="3m",
    ),
    Case(
        "NoSmsCarrier",
        {STATE.format("tencent"): "0 2x40", STATE.format("aliyun"): "0 2x40"},
        {STATE.format("tencent"): "0 2x40", STATE.format("aliyun"): "0x40"},
        CRITICAL, "no SMS carrier can be used", at="3m",
    ),
    Case(
        "SmsCarrierNeedsAttention",
        {'sms_carrier_errors_total{provider="tencent",reason="money"}': "0 1x40"},
        {'sms_carrier_errors_total{provider="tencent",reason="money"}': "3x40"},
        CRITICAL | {"provider": "tencent", "reason": "money"}, "the SMS carrier tencent refuses messages: money",
    ),
    Case(
        "SmsNotDelivered", finished("0+8x80", "0+2x80"), finished("0 1x80", "0 1x80"),  # too few to judge
        WARNING, "20% of the messages were not delivered", at="20m",
    ),
    Case(
        "SmsOverdue", check("notify-worker", "sender", "1 0x40"), check("notify-worker", "sender", "1 0 1x40"),
        CRITICAL | {"process": "notify-worker"}, "messages are overdue",
    ),
    Case(
        "LoginSuccessLow", codes("0+10x80", "0+1x80"), codes("0+10x80", "0+9x80"),
        CRITICAL, "only 10% of the people who request a code log in", at="20m",
    ),
    Case(
        "CityCodeLimitReached",
        {'login_limits_reached_total{limit="codes_in_city"}': "0 5x40"},
        {'login_limits_reached_total{limit="wrong_codes_in_city"}': "0 5x40"},
        CRITICAL, "the city's limit of codes is reached; nobody gets a code", at="3m",
    ),
    Case(
        "CityWrongCodeLimitReached",
        {'login_limits_reached_total{limit="wrong_codes_in_city"}': "0 5x40"},
        {'login_limits_reached_total{limit="codes_in_city"}': "0 5x40"},
        CRITICAL, "the city's limit of wrong codes is reached; each address has few tries", at="3m",
    ),
    Case(
        "WebhooksFailing", {'webhooks{state="failing"}': "2x100"}, {'webhooks{state="failing"}': "2x40 0x4 2x56"},
        WARNING, "receivers of 2 webhooks have not answered 2xx for an hour", at="90m", step="1m",
    ),
    Case(
        "WebhookPaused",
        {'webhook_pauses_total{reason="failing"}': "0 1x40"},
        {'webhook_pauses_total{reason="failing"}': "3x40"},
        WARNING | {"reason": "failing"}, "a webhook was paused (failing): its events wait until it is resumed",
    ),
    Case(
        "FeedRecordsSkipped", {"feed_unreadable_total": "0 1x40"}, {"feed_unreadable_total": "3x40"},
        CRITICAL, "Kafka records in records.changes are not events: the change feed and webhooks skipped them",
    ),
    Case(
        "VerdictsDelayed",
        {f'consumer_lag_events{{group="{GROUP}",partition="0"}}': "40x40"},
        {'consumer_lag_events{group="identity.access",partition="0"}': "40x40"},
        WARNING | {"group": GROUP}, "people wait for the verdict on their file: attachments.check",
    ),
    Case(
        "ManyUploadsRefused",
        checked("0+9x288 2595+3x24", "0+1x288 295+7x24"),  # 10 % for a day, then 70 %
        checked("0+3x320", "0+7x320"),  # always at that level
        WARNING | {"what": "attachment"}, "70% of the files (attachment) are refused", at="1515m", step="5m",
    ),
    Case(
        "ForeignObjectAccess", denied("foreign_object", "0+2x40"),
        denied("foreign_object", "0+1x40") | denied("token_expired", "0+90x40"),  # old bookmarks
        CRITICAL, "40 requests within 5 minutes were for objects of somebody else", at="6m",
    ),
    Case(
        "ErasureForged",
        event("erasure", "0x8 1x32", "denied", "not_confirmed", "records-worker"),
        event("erasure", "0x40", "denied", "not_confirmed", "records-worker") | event("erasure", "0x8 5x32"),
        {"severity": "critical", "process": "records-worker", "cause": "not_confirmed"},
        "records-worker refused to erase a person: not_confirmed",
    ),
    Case(
        "AuditTrailWrong",
        {"audit_verification_failed": "0x8 1x32"}, {"audit_verification_failed": "0x40"},
        CRITICAL, "the audit trail failed its verification",
    ),
    Case(
        "AuditHeadMissing",
        {"audit_head_timestamp_seconds": "0x400"}, {"audit_head_timestamp_seconds": "0x100 3600x300"},
        CRITICAL, "no head of the audit trail was signed for 2h 5m 0s", at="125m", step="30s",
    ),
    Case(
        "TokensForged", denied("token_forged", "0+3x40"), denied("token_forged", "0x8 9x32"),
        CRITICAL, "60 tokens within 5 minutes were not signed by us", at="6m",
    ),
    Case(
        "MassLookups",
        event("people_lookup", "0+30x40", cause="usual") | event("people_lookup", "0x8 1x32", cause="many"),
        event("people_lookup", "0+30x40", cause="usual"),
        CRITICAL, "mass look-ups of people: 1 calls within 15 minutes", at="6m",
    ),
    Case(
        "ManyDenials", denied("forbidden", "0+5x40"), denied("forbidden", "0+2x40") | denied("no_token", "0+90x40"),
        WARNING | RECORDS | {"cause": "forbidden"},
        "records-api denied 100 requests within 5 minutes: forbidden", at="6m",
    ),
    Case(
        "StaffLoginFailures", event("staff_login", "0+2x40", "denied", "password_wrong"),
        event("staff_login", "0+9x40") | event("staff_login", "0 5x40", "denied", "totp_wrong"),  # a Monday morning
        CRITICAL, "40 log-ins of staff failed within 5 minutes", at="6m",
    ),
    Case(
        "SprayFromOneNetwork", event("spray", "0x8 1x32", "noticed", "login_code"),
        event("login_code", "0+9x40", "denied", "not_enrolled"),  # from many networks
        CRITICAL | {"cause": "login_code"}, "one network guesses the credentials of many subjects: login_code", at="6m",
    ),
    Case(
        "CodeGuessing", event("code_guessing", "0x8 1x32", "noticed", "login"),
        event("login", "0+9x40", "denied", "code_wrong"),  # for many people
        CRITICAL | {"cause": "login"}, "100 codes in a row were wrong for one person: login", at="6m",
    ),
    Case(
        "ManyRebindings", event("certificate_rebinding", "0+1x100"),
        event("certificate_rebinding", "0 5x100") | event("certificate_rebinding", "0+3x100", "denied", "code_wrong")
        | event("certificate_rebinding", "0+3x100", cause="requested"),
        WARNING, "60 certificates were bound to another phone within an hour", at="70m", step="1m",
    ),
    Case(
        "ManyErasures", event("erasure_request", "0 0 5x100"), event("erasure_request", "0 0 2x100"),
        CRITICAL, "the erasure of 5 people was requested within an hour", at="20m", step="1m",
    ),
    Case(
        "ApprovalBypassed", event("approval", "0x8 1x32", cause="bypassed"),
        event("approval", "0+9x40", cause="approved"),
        CRITICAL, "a command changed accounts of staff without the approval of a second person", at="6m",
    ),
    Case(
        "ManyAccountChanges", event("client_change", "0 0 12x100", cause="changed"),
        event("client_change", "0 0 2x100", cause="created")
        | event("account_change", "0+3x100", cause="password_changed"),  # people change their passwords
        WARNING, "12 accounts of staff or API clients were created or changed within an hour", at="20m", step="1m",
    ),
    *[
        Case(
            alert, check("records-worker", name, "1 0x40"), check("records-worker", name, "1 0 0 1x40"),
            CRITICAL | {"process": "records-worker"}, f"records-worker can't reach {what}",
        )
        for alert, name, what in (
            ("MongoUnavailable", "mongo", "MongoDB"), ("KafkaUnavailable", "kafka", "Kafka"),
            ("RedisUnavailable", "redis", "Redis"), ("S3Unavailable", "bucket", "its S3 bucket"),
        )
    ],
    Case(
        "RedisUnavailable",
        ended_sessions_reader("records-api", "1 0x40"), ended_sessions_reader("records-api", "1 0 0 1x40"),
        CRITICAL | {"process": "records-api"}, "records-api can't reach Redis",
    ),
    Case(
        "DiskAlmostFull", disk("50x40"), disk("50x40", "/run") | disk("200x40"),
        CRITICAL | {"mountpoint": "/data", "instance": "mongo-1:9100"}, "/data of mongo-1:9100 has 5% left",
    ),
    Case(
        "ErrorBudgetBurnsFast", posts("login", "0+20x160", "0+1x160"), posts("login", "0+100x160", "0+1x160"),
        CRITICAL | {"slo": "login"},
        "login: 4.762% of the last hour failed; the month's error budget lasts two days", at="40m",
    ),
    Case(
        "ErrorBudgetBurnsSteadily", posts("login", "0+100x160", "0+1x160"), posts("login", "0+200x160", "0+1x160"),
        CRITICAL | {"slo": "login"},
        "login: 0.9901% of the last six hours failed; the month's error budget lasts five days", at="40m",
    ),
    Case(
        "ErrorBudgetBurnsSlowly", posts("login", "0+500x160", "0+1x160"), posts("login", "0+1100x160", "0+1x160"),
        WARNING | {"slo": "login"},
        "login: 0.1996% of the last three days failed; the month's error budget will not last", at="40m",
    ),
    Case(  # the failure has ended: the short window is clean again
        "ErrorBudgetBurnsFast", posts("save", "0+20x100", "0+5x100"), posts("save", "0+20x100", "0+5x60 300x40"),
        CRITICAL | {"slo": "save"},
        "save: 20% of the last hour failed; the month's error budget lasts two days", at="25m",
    ),
    Case(
        "ErrorBudgetBurnsFast", verdicts("0+4x100", "0+3x100"), verdicts("0+4x100", "0+4x100"),
        CRITICAL | {"slo": "verdict"},
        "verdict: 25% of the last hour failed; the month's error budget lasts two days", at="20m",
    ),
    Case(
        "ErrorBudgetBurnsFast", {LAG: "0x20 0+15x60"}, {LAG: "0x20 30x60"},
        CRITICAL | {"slo": "subscriber"},
        "subscriber: 67.5% of the last hour failed; the month's error budget lasts two days", at="19m45s",
    ),
    Case(
        "ExporterDown", {'up{job="servers",instance="redis-exporter:9121"}': "1 0x40"},
        {'up{job="servers",instance="redis-exporter:9121"}': "1 0x8 1x40", 'up{job="processes"}': "0x40"},
        WARNING | {"job": "servers", "instance": "redis-exporter:9121"},
        "no figures of redis-exporter:9121: alerts about it can't fire", at="7m",
    ),
    Case(
        "ExporterDown", {MEASURED: "1 0x40"}, {MEASURED: "1 0x8 1x40"},
        WARNING | {"server": "kafka"}, "no figures of kafka: alerts about it can't fire", at="7m",
    ),
    Case(
        "KafkaPartitionsOffline", {"kafka_partitions_offline": "0 3x40"}, {"kafka_partitions_offline": "0 3x3 0x40"},
        CRITICAL, "3 partitions of Kafka have no leader: nothing can be written to them",
    ),
    Case(
        "KafkaUnderReplicated", {"kafka_partitions_under_replicated": "0 3x80"},
        {"kafka_partitions_under_replicated": "0 3x30 0x40"},  # a rolling restart
        WARNING, "3 partitions of Kafka have a replica that is not in sync", at="15m",
    ),
    Case(
        "SubscriberLagHigh", {SUBSCRIBER: "20000x80"}, {SUBSCRIBER: "900000-30000x80"},  # a first load
        WARNING | {"group": "qualification.records"},
        "another system (qualification.records) is 20000 events behind", at="60m", step="1m",
    ),
    Case(
        "MongoMemberDown", {"mongo_members_down": "0 1x40"}, {"mongo_members_down": "0 1x10 0x40"},
        WARNING, "a member of MongoDB is down or more than a minute behind ", at="7m",
    ),
    Case(
        "MongoMemberDown", {'mongo_member_lag_seconds{member="b:27017"}': "0+10x40"},
        {'mongo_member_lag_seconds{member="b:27017"}': "2x40"},
        WARNING | {"member": "b:27017"}, "a member of MongoDB is down or more than a minute behind b:27017", at="8m",
    ),
    Case(
        "MongoConnectionsHigh", connections("900x40", "100x40"), connections("700x40", "300x40"),
        WARNING, "90% of MongoDB's connections are used", at="7m",
    ),
    Case(
        "RedisMemoryHigh", redis_memory("95x40", "100x40"), redis_memory("95x40", "0x40"),  # no limit
        CRITICAL, "Redis uses 95% of its memory: when it is full, nobody can log in", at="7m",
    ),
    Case(
        "RedisNotPersistent", {"redis_aof_last_write_status": "1 0x40"}, {"redis_aof_last_write_status": "1 0 0 1x40"},
        WARNING, "Redis can't write its append-only file",
    ),
    Case(
        "MemoryAlmostFull", memory("3x40"), memory("8x40"),
        CRITICAL | {"instance": "node:9100"}, "node:9100 has 3% of its memory left", at="7m",
    ),
    Case(
        "PublicDoorUnavailable", {DOOR: "1 0x40"}, {DOOR: "1 0 0 1x40"},
        CRITICAL | {"instance": "https://portal.example.cn/login"},
        "people can't reach https://portal.example.cn/login",
    ),
    Case(
        "CertificateExpires", {EXPIRY: "600000x100"}, {EXPIRY: "2000000x100"},
        WARNING | {"instance": "https://portal.example.cn/login"},
        "the TLS certificate of https://portal.example.cn/login expires in 6d 21h 10m 0s", at="90m", step="1m",
    ),
    Case(
        "InternalCertificateExpires", {OWN_EXPIRY: "600000x100"}, {OWN_EXPIRY: "0x100"},  # without TLS
        WARNING | {"process": "records-api"},
        "the certificate that records-api uses inside expires in 6d 21h 10m 0s", at="90m", step="1m",
    ),
    Case(
        "InternalCertificateExpires", {KAFKAS_EXPIRY: "600000x100"}, {KAFKAS_EXPIRY: "2000000x100"},
        WARNING | {"instance": "kafka:9092"},
        "the certificate that kafka:9092 uses inside expires in 6d 21h 10m 0s", at="90m", step="1m",
    ),
    Case("Watchdog", {}, None, {"severity": "none"}, "alerts can arrive"),
    Case(
        "AlertingDown", {SENDER_UP: "1 0x20"}, {SENDER_UP: "1 0 0 1x20"},
        CRITICAL | {"job": "alerting", "instance": "alert-sender:9000"},
        "alert-sender:9000 does not answer: alerts may not arrive",
    ),
    Case(
        "AlertsNotDelivered",
        {'alert_channel_ok{channel="wecom"}': "1 0x40", 'alert_channel_ok{channel="mail"}': "1x40"},
        {'alert_channel_ok{channel="wecom"}': "1 0 0 0 1x40"},
        CRITICAL | {"channel": "wecom"}, "alerts don't arrive through wecom",
    ),
    Case(
        "BackupOverdue", backup("0x60"), backup("0x23 7200x36"),  # the first one was late
        CRITICAL | {"process": "backup"}, "the newest usable backup is 4h 0m 0s old", at="4h", step="5m",
    ),
    Case(
        "LogsNotShipped",
        {'log_bytes_waiting{process="log-shipper"}': "0x5 204800x60"},
        {'log_bytes_waiting{process="log-shipper"}': "900000x20 0 900000x40"},  # a burst that was shipped, then another
        WARNING | {"process": "log-shipper"},
        "200kiB of logs have waited for the log receiver for ten minutes", at="14m",
    ),
]  # fmt: skip
