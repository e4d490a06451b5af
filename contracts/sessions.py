"""Why a session ended: identity publishes the reason, every API and the portal show its sentence to the person."""

from collections.abc import Mapping
from typing import Literal

EndReason = Literal[
    "logged_out",
    "ended_elsewhere",
    "idle",
    "expired",
    "certificate_revoked",
    "phone_changed",
    "staff_changed",
    "staff_disabled",
    "credentials_reset",
    "password_changed",
    "passkey_removed",
    "token_reused",
    "person_erased",
]
SENTENCES: Mapping[str, str] = {
    "logged_out": "您已退出登录，请重新登录",
    "ended_elsewhere": "您已在另一台设备上退出了本设备的登录，请重新登录",
    "idle": "登录已失效（长时间未操作），请重新登录",
    "expired": "登录时间已达上限，请重新登录",
    "certificate_revoked": "个人数字证书已注销，登录已失效。如有疑问，请联系受理窗口",
    "phone_changed": "个人数字证书绑定的手机号码已变更，请使用新的手机号码登录",
    "staff_changed": "您的账号已变更，请重新登录",
    "staff_disabled": "您的账号已停用。如有疑问，请联系管理员",
    "credentials_reset": "管理员已重置您的密码或动态口令，请使用新的登录",
    "password_changed": "您的账号已修改密码，请使用新密码登录；不是您本人修改的，请立即联系管理员",
    "passkey_removed": "您账号的一个通行密钥已移除，请重新登录；不是您本人移除的，请联系管理员",
    "token_reused": "登录凭据被重复使用，为保护您的信息，登录已失效，请重新登录",
    "person_erased": "您在本系统的信息已删除，登录已失效",
}
ENDED_SESSIONS = "identity:ended_sessions"
"""The Redis stream on which identity publishes ended sessions (kit.security.ended_sessions)."""
