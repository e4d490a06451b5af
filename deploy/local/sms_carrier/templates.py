"""The templates that the carriers have approved, and the rules for their variables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Template:
    """`text` without the signature; a variable is `{name}`. Code templates take 0–6 digits only."""

    text: str
    code: bool = False

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(_VARIABLE.findall(self.text)))

    def accepts(self, values: Sequence[str]) -> bool:
        return not self.code or all(re.fullmatch(r"[0-9]{0,6}", value) for value in values)

    def printed(self, sign_name: str, values: Sequence[str]) -> str:
        known = dict(zip(self.names, values, strict=True))
        return f"【{sign_name}】" + _VARIABLE.sub(lambda found: known[found[1]], self.text)


_TEXTS = {
    "login_code": Template("您的动态密码为{code}，24小时内有效，请勿向他人泄露。", code=True),
    "certificate_issued": Template("您的个人数字证书已申领成功，如非本人办理，请尽快到受理窗口核实。"),
    "certificate_rebound": Template("您的个人数字证书已改绑本手机号码，如非本人办理，请尽快到受理窗口核实。"),
    "certificate_revoked": Template("您的个人数字证书已注销，如非本人办理，请尽快到受理窗口核实。"),
    "scan_refused": Template("您上传的附件扫描件未通过检查，请登录查看原因，重新扫描后上传。"),
    "signature_refused": Template("您上传的签名信息采集表未通过检查，请登录查看原因，重新上传。"),
    "certificate_moved": Template("您的个人数字证书已改绑其他手机号码，如非本人办理，请立即到受理窗口核实。"),
    "bind_code": Template(
        "您正在窗口绑定本手机号码，动态密码为{code}，10分钟内有效，请只告知窗口工作人员。", code=True
    ),
    "confirm_code": Template("您正在办理重要操作，动态密码为{code}，10分钟内有效，请勿向他人泄露。", code=True),
    "erasure_requested": Template("有人申请删除您在本系统的全部信息，如非本人要求，请尽快到受理窗口提出。"),
    "rebinding_requested": Template("有人申请将您的个人数字证书改绑其他手机号码，如非本人办理，请立即到受理窗口核实。"),
}

# the ids under which each carrier approved them
TENCENT_IDS = {purpose: str(1_000_001 + place) for place, purpose in enumerate(_TEXTS)}
ALIYUN_IDS = {purpose: f"SMS_{100_000_001 + place}" for place, purpose in enumerate(_TEXTS)}
TENCENT = {TENCENT_IDS[purpose]: template for purpose, template in _TEXTS.items()}
ALIYUN = {ALIYUN_IDS[purpose]: template for purpose, template in _TEXTS.items()}
