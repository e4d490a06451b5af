"""What makes each alert fire, and what looks like it and must not: series in promtool's notation."""

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """At `at` the alert fires on `fires`, with these labels and this summary, not on `quiet`; a value each `step`."""

    alert: str
    fires: Series
    quiet: Series
    labels: dict[str, str]
    summary: str
    at: str = "5m"
    step: str = "15s"


def requests(process: str, status: str, values: str) -> Series:
    """A counter of requests by their status."""
    return {f'http_request_duration_seconds_count{{process="{process}",status="{status}"}}': values}


def took(process: str, handler: str, fast: str, every: str) -> Series:
    """Requests within a second, and all."""
    name, labels = "http_request_duration_seconds", f'process="{process}",handler="{handler}",status="200"'
    return {
        f'{name}_bucket{{{labels},le="1"}}': fast,
        f'{name}_bucket{{{labels},le="5"}}': every,
        f'{name}_bucket{{{labels},le="+Inf"}}': every,
        f"{name}_count{{{labels}}}": every,
    }


def check(process: str, name: str, values: str) -> Series:
    """One of a process' readiness checks."""
    return {f'check_ok{{process="{process}",check="{name}"}}': values}


def followed(process: str, values: str) -> Series:
    """Whether a process learns at once that a session has ended."""
    return {f'ended_sessions_reader_up{{process="{process}",stream="identity:ended_sessions"}}': values}


def codes(asked: str, right: str) -> Series:
    """Codes that were asked for, and that led in."""
    return {'logins_total{outcome="asked"}': asked, 'logins_total{outcome="right"}': right}


def ended(delivered: str, failed: str) -> Series:
    """Messages by how they ended."""
    return {
        'sms_messages_total{state="delivered",provider="tencent"}': delivered,
        'sms_messages_total{state="failed",provider="tencent"}': failed,
    }


def judged(accepted: str, refused: str) -> Series:
    """Files by their verdict."""
    return {
        'uploads_checked_total{what="attachment",verdict="accepted"}': accepted,
        'uploads_checked_total{what="attachment",verdict="refused"}': refused,
    }


def denied(cause: str, values: str) -> Series:
    """Security events of records-api."""
    return event("access_denied", values, "denied", cause, "records-api")


def event(name: str, values: str, outcome: str = "done", cause: str = "", process: str = "identity-api") -> Series:
    """Security events of one kind."""
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


UP = 'up{job="processes",process="records-api"}'
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
        CRITICAL | {"job": "processes"}, "Prometheus knows none of our processes", at="6m",
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
        took("records-api", "/records", "0+80x80", "0+100x80"),
        took("records-api", "/api/records/changes", "0x80", "0+100x80"),  # waits because it was told to
        WARNING | RECORDS, "one in a hundred answers of records-api takes 4.8s", at="15m",
    ),
    Case(
        "TokensRefused",
        requests("records-api", "200", "0+50x40") | requests("records-api", "401", "0+50x40"),
        requests("records-api", "200", "0+90x40") | requests("records-api", "401", "0+10x40"),
        CRITICAL | RECORDS, "records-api refuses 50% of its requests for their token", at="8m",
    ),
    Case(
        "PublisherStalled", {LAG: "0+15x18 _ _ _x20"}, {LAG: "0 15 30 45 0 15 30 45 0x40"},  # restarted
        CRITICAL | {"service": "records"}, "changes of records have been waiting for 4m 30s",
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
        WARNING | {"service": "records"}, "publishing of records ended 40 times within 10 minutes", at="10m",
    ),
    Case(
        "PublisherPositionLost",
        {'publisher_snapshots_total{service="records"}': "0x4 1x40"},
        {'publisher_snapshots_total{service="records"}': "1x40"},  # its first one
        WARNING | {"service": "records"}, "records publishes everything anew",
    ),
    Case(
        "VersionNotPublished",
        {'publisher_failed_events_total{service="records"}': "0x4 1x40"},
        {'publisher_failed_events_total{service="records"}': "0x40"},
        CRITICAL | {"service": "records"}, "a version of a document of records could not be turned into its event",
    ),
    Case(
        "OplogTooShort", {OPLOG: "90000x320"}, {OPLOG: "3600+15x320"},  # it is only young
        WARNING | {"service": "records"}, "the oplog that records reads reaches back only 1d 1h 0m 0s", at="80m",
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
        CRITICAL | {"check": "notify.requests"}, "notify.requests handles nothing while events wait",
    ),
    Case(
        "ConsumerStopped", {STOPPED: "0 0 1 _x4 0x40"}, {STOPPED: "0x40"},
        CRITICAL | {"group": "notify.requests"},
        "notify.requests met too many events that it can't handle, and stopped", at="3m",
    ),
    Case(
        "DeadLetters",
        {f'dead_letters_open{{group="{GROUP}",process="attachments-worker-{one}"}}': "0 2x40" for one in (0, 1)},
        {f'dead_letters_open{{group="{GROUP}",process="attachments-worker-{one}"}}': "2 0x40" for one in (0, 1)},
        WARNING | {"group": GROUP}, "2 dead letters of attachments.check wait for somebody",
    ),
    Case(
        "SmsCarrierDown",
        {STATE.format("tencent"): "0 2 1 2 1 2 1 2 1 2 1 2x20", STATE.format("aliyun"): "0x40"},
        {STATE.format("tencent"): "0 2 0x40", STATE.format("aliyun"): "0x40"},
        WARNING | {"provider": "tencent"}, "the SMS operator tencent is not used: it fails", at="3m",
    ),
    Case(
        "NoSmsCarrier",
        {STATE.format("tencent"): "0 2x40", STATE.format("aliyun"): "0 2x40"},
        {STATE.format("tencent"): "0 2x40", STATE.format("aliyun"): "0x40"},
        CRITICAL, "no SMS operator can be used", at="3m",
    ),
    Case(
        "SmsCarrierNeedsAttention",
        {'sms_carrier_errors_total{provider="tencent",reason="money"}': "0 1x40"},
        {'sms_carrier_errors_total{provider="tencent",reason="money"}': "3x40"},
        CRITICAL | {"provider": "tencent", "reason": "money"}, "the SMS operator tencent refuses for money",
    ),
    Case(
        "SmsNotDelivered", ended("0+8x80", "0+2x80"), ended("0 1x80", "0 1x80"),  # too few to say
        WARNING, "20% of the messages did not arrive", at="20m",
    ),
    Case(
        "SmsOverdue", check("notify-worker", "sender", "1 0x40"), check("notify-worker", "sender", "1 0 1x40"),
        CRITICAL | {"process": "notify-worker"}, "messages that are due are not sent",
    ),
    Case(
        "LoginSuccessLow", codes("0+10x80", "0+1x80"), codes("0+10x80", "0+9x80"),
        CRITICAL, "only 10% of those who ask for a code log in", at="20m",
    ),
    Case(
        "CityCodeLimitReached",
        {'login_limits_reached_total{limit="codes_in_city"}': "0 5x40"},
        {'login_limits_reached_total{limit="wrong_codes_in_city"}': "0 5x40"},
        CRITICAL, "the city's budget of codes is spent; nobody gets one", at="3m",
    ),
    Case(
        "CityWrongCodeLimitReached",
        {'login_limits_reached_total{limit="wrong_codes_in_city"}': "0 5x40"},
        {'login_limits_reached_total{limit="codes_in_city"}': "0 5x40"},
        CRITICAL, "too many wrong codes in the whole city; addresses get few tries", at="3m",
    ),
    Case(
        "WebhooksFailing", {'webhooks{state="failing"}': "2x100"}, {'webhooks{state="failing"}': "2x40 0x4 2x56"},
        WARNING, "receivers of 2 webhooks have not answered as they should for an hour", at="90m", step="1m",
    ),
    Case(
        "WebhookPaused",
        {'webhook_pauses_total{reason="failing"}': "0 1x40"},
        {'webhook_pauses_total{reason="failing"}': "3x40"},
        WARNING | {"reason": "failing"}, "a webhook was paused (failing): its events wait until somebody resumes it",
    ),
    Case(
        "FeedRecordsSkipped", {"feed_unreadable_total": "0 1x40"}, {"feed_unreadable_total": "3x40"},
        CRITICAL, "records in records.changes are no events: the feed and webhooks passed over them",
    ),
    Case(
        "VerdictsDelayed",
        {f'consumer_lag_events{{group="{GROUP}",partition="0"}}': "40x40"},
        {'consumer_lag_events{group="identity.access",partition="0"}': "40x40"},
        WARNING | {"group": GROUP}, "people wait for the verdict on their file: attachments.check",
    ),
    Case(
        "ManyUploadsRefused",
        judged("0+9x288 2595+3x24", "0+1x288 295+7x24"),  # a tenth for a day, then seven tenths
        judged("0+3x320", "0+7x320"),  # always so
        WARNING | {"what": "attachment"}, "70% of the files (attachment) are refused", at="1515m", step="5m",
    ),
    Case(
        "ForeignObjectAccess", denied("foreign_object", "0+2x40"),
        denied("foreign_object", "0+1x40") | denied("token_expired", "0+90x40"),  # somebody's old bookmarks
        CRITICAL, "40 requests within 5 minutes were for what is somebody else's", at="6m",
    ),
    Case(
        "ErasureForged",
        event("erasure", "0x8 1x32", "denied", "not_confirmed", "records-worker"),
        event("erasure", "0x40", "denied", "not_confirmed", "records-worker") | event("erasure", "0x8 5x32"),
        {"severity": "critical", "process": "records-worker", "cause": "not_confirmed"},
        "records-worker refused to erase somebody: not_confirmed",
    ),
    Case(
        "TokensForged", denied("token_forged", "0+3x40"), denied("token_forged", "0x8 9x32"),
        CRITICAL, "60 tokens within 5 minutes were not signed by us", at="6m",
    ),
    Case(
        "MassLookups",
        event("people_lookup", "0+30x40", cause="usual") | event("people_lookup", "0x8 1x32", cause="many"),
        event("people_lookup", "0+30x40", cause="usual"),
        CRITICAL, "somebody looks up people in masses: 1 calls within 15 minutes", at="6m",
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
        event("login_code", "0+9x40", "denied", "not_enrolled"),  # of many networks
        CRITICAL | {"cause": "login_code"}, "one network guesses at many subjects: login_code", at="6m",
    ),
    Case(
        "CodeGuessing", event("code_guessing", "0x8 1x32", "noticed", "login"),
        event("login", "0+9x40", "denied", "code_wrong"),  # of many people
        CRITICAL | {"cause": "login"}, "a hundred codes of one person were wrong in a row: login", at="6m",
    ),
    Case(
        "ManyRebindings", event("certificate_rebinding", "0+1x100"),
        event("certificate_rebinding", "0 5x100") | event("certificate_rebinding", "0+3x100", "denied", "code_wrong")
        | event("certificate_rebinding", "0+3x100", cause="requested"),
        WARNING, "60 certificates were bound to another phone within an hour", at="70m", step="1m",
    ),
    Case(
        "ManyErasures", event("erasure_request", "0 0 5x100"), event("erasure_request", "0 0 2x100"),
        CRITICAL, "5 people were asked to be erased within an hour", at="20m", step="1m",
    ),
    Case(
        "ManyAccountChanges", event("client_change", "0 0 12x100", cause="changed"),
        event("client_change", "0 0 2x100", cause="created")
        | event("account_change", "0+3x100", cause="password_changed"),  # people choose other passwords
        WARNING, "12 accounts of staff or API clients were made or changed within an hour", at="20m", step="1m",
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
        "RedisUnavailable", followed("records-api", "1 0x40"), followed("records-api", "1 0 0 1x40"),
        CRITICAL | {"process": "records-api"}, "records-api can't reach Redis",
    ),
    Case(
        "DiskAlmostFull", disk("50x40"), disk("50x40", "/run") | disk("200x40"),
        CRITICAL | {"mountpoint": "/data", "instance": "mongo-1:9100"}, "/data of mongo-1:9100 has 5% left",
    ),
]  # fmt: skip
