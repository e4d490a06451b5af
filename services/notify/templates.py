"""The catalogue of messages: purpose → text and variables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ONE_SMS = 70  # characters, including the signature in its brackets; longer texts are split, and each part is charged
MAX_SIGNATURE_LENGTH = 12
CODE_VARIABLE = re.compile(r"[0-9]{0,6}")  # what carriers allow as the variable of a code


@dataclass(frozen=True)
class Template:
    """`text` without the signature, as the carriers approved it; `names`: its variables in order.

    `code`: the message carries a code that a person waits for. A notice has no variables: carriers may not allow any
    in domestic notices, and a name may contain a character that counts as two.
    """

    text: str
    names: tuple[str, ...] = ()
    code: bool = False

    def accepts(self, variables: Sequence[str]) -> bool:
        """Whether carriers would accept these variables."""
        return len(variables) == len(self.names) and all(CODE_VARIABLE.fullmatch(value) for value in variables)


CATALOGUE: Mapping[str, Template] = {
    "login_code": Template("您的动态密码为{code}，24小时内有效，请勿向他人泄露。", ("code",), code=True),
    "certificate_issued": Template("您的个人数字证书已申领成功，如非本人办理，请尽快到受理窗口核实。"),
    "certificate_rebound": Template("您的个人数字证书已改绑本手机号码，如非本人办理，请尽快到受理窗口核实。"),
    "certificate_revoked": Template("您的个人数字证书已注销，如非本人办理，请尽快到受理窗口核实。"),
    "scan_refused": Template("您上传的附件扫描件未通过检查，请登录查看原因，重新扫描后上传。"),
    "signature_refused": Template("您上传的签名信息采集表未通过检查，请登录查看原因，重新上传。"),
    "certificate_moved": Template("您的个人数字证书已改绑其他手机号码，如非本人办理，请立即到受理窗口核实。"),
    "rebinding_requested": Template("有人申请将您的个人数字证书改绑其他手机号码，如非本人办理，请立即到受理窗口核实。"),
    "bind_code": Template(
        "您正在窗口绑定本手机号码，动态密码为{code}，10分钟内有效，请只告知窗口工作人员。", ("code",), code=True
    ),
    "confirm_code": Template(
        "您正在办理重要操作，动态密码为{code}，10分钟内有效，请勿向他人泄露。", ("code",), code=True
    ),
    "erasure_requested": Template("有人申请删除您在本系统的全部信息，如非本人要求，请尽快到受理窗口提出。"),
}
