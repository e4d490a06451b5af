"""Wording of the pages: texts of states and codes, notes after an action, formats of times."""

from collections.abc import Callable, Mapping
from datetime import datetime

from contracts.identity import DOCUMENT_TITLES
from contracts.sessions import SENTENCES
from kit.core.clock import SHANGHAI
from kit.core.errors import in_words
from services.portal import domain

NOTES = {
    **{reason: f"{sentence}。" for reason, sentence in SENTENCES.items()},
    "over": "登录已失效，请重新登录。",
    "kept": "您刚才填写的内容已保留，登录后可以继续。",
    "out": "您已安全退出。",
    "restored": "您填写的内容已恢复，尚未保存，请检查后保存。",
    "gone": "原来的记录已被删除。保存您填写的内容，将新增一条。",
    "saved": "已保存。",
    "password_saved": "密码已修改。您在其他设备上的登录已全部退出。",
    "password_made": "您正在使用管理员提供的临时密码，请先设置自己的密码。",
    "passkey_added": "通行密钥已添加，下次可以用它登录。",
    "passkey_removed": "通行密钥已移除。您在其他设备上的登录已全部退出。",
    "approval_requested": "申请已提交，须由另一名管理员批准。",
    "approval_done": "已批准并执行。",
    "approval_refused": "已拒绝或撤回。",
    "added": "已保存。现在可以上传附件。",
    "deleted": "已删除。",
    "removed": "附件已删除，可以重新上传。",
    "ended": "该设备已退出登录。",
    "ended_others": "其他设备均已退出登录，系统不再记住它们。",
    "registered": "登记完成。本人需要使用自助服务的，请继续办理个人数字证书。",
    "read_again": "该证件已登记过，信息已按本次采集更新。",
    "renewed": "新证件已登记，原档案、证书和记录继续有效，新旧证件号码都可以查找和登录。",
    "issue": "个人数字证书已申领，自助服务已开通。",
    "rebind": "已绑定新的手机号码，本人在其他设备上的登录已失效。",
    "revoke": "个人数字证书已注销，自助服务已关闭。",
    "rebinding_waits": "申请已提交，须由另一名工作人员确认后生效。确认前，原手机号码继续有效。",
    "rebinding_confirmed": "已确认，新的手机号码已绑定。",
    "rebinding_refused": "已拒绝或撤回，原手机号码继续有效。",
    "rebinding_over": "该申请已处理、已超过时限，或已由新的申请代替。",
    "disputed": "异议已提交。受理窗口核实后，处理结果在本页显示。",
    "dispute_closed": "异议已处理，本人可以看到处理结果。",
    "dispute_over": "该异议已处理。",
    "queued": "已重新排队，稍后刷新查看结果。",
    "replay": "已交给消费组重新处理。",
    "drop": "已丢弃。",
}
ATTACHMENT_STATES = {
    "checking": ("wait", "检查中"),
    "accepted": ("good", "已通过"),
    "refused": ("bad", "未通过"),
}
DISPUTE_STATES = {"open": ("wait", "异议处理中"), "closed": ("good", "异议已处理")}
DISPUTE_OUTCOMES = {"corrected": "来源单位已更正", "not_corrected": "经核实，不作更正"}
CERTIFICATE_STATES = {"active": ("good", "有效"), "revoked": ("bad", "已注销")}
MESSAGE_STATES = {
    "queued": "等待发送", "sent": "运营商已接收", "delivered": "已送达", "failed": "失败", "expired": "过期",
}  # fmt: skip
MESSAGE_TONES = {"delivered": "good", "failed": "bad", "expired": "warn"}
MESSAGE_REASONS = {
    "outcome_unknown": "不知是否已发出",
    "too_late": "超过最迟发送时间",
    "not_needed": "本人已看到结果或已重新上传",
    "no_phone": "本人没有绑定的手机号码",
}
PROVIDERS = {"tencent": "腾讯云", "aliyun": "阿里云", "none": "未交付"}
PURPOSES = {
    "login_code": "动态密码", "certificate_issued": "证书申领", "certificate_rebound": "证书改绑",
    "certificate_revoked": "证书注销", "scan_refused": "附件未通过", "signature_refused": "签名未通过",
    "certificate_moved": "证书改绑（原手机）", "bind_code": "绑定手机的动态密码", "confirm_code": "确认操作的动态密码",
    "erasure_requested": "申请删除信息", "rebinding_requested": "申请改绑（原手机）",
}  # fmt: skip
WHOSE = {"mine": "您修改了", "theirs": "另一处修改了", "both": "两处都修改了"}
"""Who changed a field of a record that was open twice; the other may be another device of the same person."""
DOUBTS = {
    "no_card": "未读取本人证件", "looked_up": "读取证件后又按证件号码查找", "too_many": "申请人当天办理次数过多",
}  # fmt: skip
"""Why a change of phone needs a second clerk."""
SEXES = {"male": "男", "female": "女", "unknown": "未知"}
WINDOW_SERVES = {"cards": "二代身份证", "documents": "军官证、外国护照、港澳同胞回乡证、台胞证等"}
STAFF_ROLES = {"clerk": "窗口工作人员", "operator": "运维人员", "admin": "管理员"}
APPROVAL_WISHES = {
    "create": "新建账号",
    "roles": "更改角色",
    "enable": "启用账号",
    "reset": "重置密码、动态口令和通行密钥",
}
APPROVAL_ACTIONS = {**APPROVAL_WISHES, "save": "由服务器命令新建或更改账号"}
APPROVAL_STATES = {
    "waiting": ("wait", "待批准"), "approved": ("warn", "已批准，未完成"), "carried_out": ("good", "已执行"),
    "outdated": ("bad", "账号已变更，未执行"), "refused": ("bad", "已拒绝或撤回"), "expired": ("bad", "已过期"),
    "bypassed": ("warn", "紧急，未经批准"),
}  # fmt: skip
ROLES = {"clerk": "窗口工作人员", "admin": "管理员", "client": "业务系统"}
ACCESSED = {
    "practitioner": "个人基本信息", "portrait": "照片", "records": "从业记录", "record": "一条从业记录",
    "certificate": "个人数字证书", "attachment": "附件", "access_log": "查阅记录", "signature": "签名",
    "lookup": "按证件号码查找", "phone_rebound": "更换绑定的手机号码", "phone_shared": "绑定他人也在使用的手机号码",
    "registration": "登记时核对是否为同一人", "erasure_requested": "申请删除您的全部信息",
    "erasure_approved": "批准删除您的全部信息", "erasure_stopped": "停止删除您的全部信息",
    "rebinding_requested": "申请更换绑定的手机号码，待复核", "rebinding_confirmed": "复核后更换绑定的手机号码",
    "rebinding_refused": "复核后未更换绑定的手机号码", "disputes": "异议", "dispute_closed": "处理异议",
}  # fmt: skip


def moment(at: datetime) -> str:
    """A time in Shanghai, to the minute."""
    return at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")


def clock(at: datetime) -> str:
    """A time of day in Shanghai, to the second."""
    return at.astimezone(SHANGHAI).strftime("%H:%M:%S")


SYSTEMS = {
    "HarmonyOS": "鸿蒙手机", "Android": "安卓手机", "iPhone": "苹果手机", "iPad": "苹果平板", "Windows": "Windows 电脑",
    "Macintosh": "苹果电脑", "Linux": "Linux 电脑",
}  # fmt: skip
BROWSERS = {
    "MicroMessenger": "微信", "Edg/": "Edge", "Firefox": "Firefox", "QQBrowser": "QQ 浏览器", "Chrome": "Chrome",
    "Safari": "Safari",
}  # fmt: skip


def device(agent: str) -> str:
    """A user agent as system and browser; an unknown one unchanged."""
    system = next((words for sign, words in SYSTEMS.items() if sign in agent), "")
    browser = next((words for sign, words in BROWSERS.items() if sign in agent), "")
    return " · ".join(filter(None, (system, browser))) or agent or "未知设备"


NAMES: Mapping[str, object] = {
    "notes": NOTES,
    "attachment_states": ATTACHMENT_STATES,
    "dispute_states": DISPUTE_STATES,
    "dispute_outcomes": DISPUTE_OUTCOMES,
    "certificate_states": CERTIFICATE_STATES,
    "document_types": DOCUMENT_TITLES,
    "whose": WHOSE,
    "doubts": DOUBTS,
    "sexes": SEXES,
    "window_serves": WINDOW_SERVES,
    "roles": ROLES,
    "staff_roles": STAFF_ROLES,
    "approval_wishes": APPROVAL_WISHES,
    "approval_actions": APPROVAL_ACTIONS,
    "approval_states": APPROVAL_STATES,
    "accessed": ACCESSED,
    "message_states": MESSAGE_STATES,
    "message_tones": MESSAGE_TONES,
    "message_reasons": MESSAGE_REASONS,
    "providers": PROVIDERS,
    "purposes": PURPOSES,
    "items": domain.ITEMS,
    "shown": domain.shown,
    "month_range": domain.month_range,
    "label": domain.label,
}
FILTERS: Mapping[str, Callable[..., object]] = {
    "moment": moment,
    "clock": clock,
    "device": device,
    "in_words": in_words,
}
