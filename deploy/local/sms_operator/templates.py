"""The templates that the operator has approved, and the rules for their variables."""

import re
from dataclasses import dataclass

_VARIABLE = re.compile(r"\{(\d+)\}")


@dataclass(frozen=True)
class Template:
    """`text` without the signature; `{1}` is the first variable. Code templates take 0–6 digits only."""

    text: str
    code: bool

    @property
    def variables(self) -> int:
        return len(set(_VARIABLE.findall(self.text)))

    def accepts(self, values: list[str]) -> bool:
        return not self.code or all(re.fullmatch(r"[0-9]{0,6}", value) for value in values)

    def printed(self, sign_name: str, values: list[str]) -> str:
        return f"【{sign_name}】" + _VARIABLE.sub(lambda found: values[int(found[1]) - 1], self.text)


APPROVED = {
    "1000001": Template("您的动态密码为{1}，24小时内有效，请勿向他人泄露。", code=True),
}
