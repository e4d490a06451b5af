"""Import of practitioners: the columns of a row, and how rows are registered."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import ValidationError

from contracts.identity import DOCUMENT_TITLES, DOCUMENT_WORDS
from kit.core.clock import Clock, shanghai_date
from kit.core.text import day_as_written
from kit.imports.model import Column, Import, Outcome, RowError, Values, row_errors
from services.identity.practitioners.identity_documents import normalised
from services.identity.practitioners.registration import Registration
from services.identity.practitioners.service import PractitionerService

KIND = "practitioners"
DAY_EXAMPLE = "如 2014-03-01"
SEXES = {"男": "male", "女": "female", "未知": "unknown"}
LONG_TERM = {"是": True, "长期": True, "true": True, "否": False, "false": False}
COLUMNS = (
    Column("document_type", "证件类型", True, "、".join(DOCUMENT_TITLES.values())),
    Column("document_number", "证件号码", True, "整列设为文本格式，避免末尾数字丢失"),
    Column("name", "姓名", True),
    Column("sex", "性别", True, "、".join(SEXES)),
    Column("birth_date", "出生日期", True, DAY_EXAMPLE),
    Column("name_latin", "外文姓名"),
    Column("ethnicity", "民族"),
    Column("nationality", "国籍", False, "外国护照须填签发国的三位字母代码，如 USA"),
    Column("address", "住址"),
    Column("authority", "签发机关"),
    Column("valid_from", "有效期起", False, DAY_EXAMPLE),
    Column("valid_to", "有效期止", False, DAY_EXAMPLE),
    Column("long_term", "长期有效", False, "是、否"),
)
PARSERS: Mapping[str, Callable[[str], object]] = {
    "document_type": lambda text: DOCUMENT_WORDS.get(text, text),
    "sex": lambda text: SEXES.get(text, text),
    "long_term": lambda text: LONG_TERM.get(text, text),
    **dict.fromkeys(("birth_date", "valid_from", "valid_to"), day_as_written),
}


class PractitionerImport:
    """Registers the rows of an import; an identity document identifies a person."""

    columns = COLUMNS

    def __init__(self, service: PractitionerService, clock: Clock) -> None:
        self._service, self._clock = service, clock

    def key(self, values: Values) -> str | None:
        """The key of a row within the file: type, country and number of the identity document."""
        number = values.get("document_number")
        kind = DOCUMENT_WORDS.get(values.get("document_type", ""), "")
        country = values.get("nationality", "").upper() if kind == "passport" else ""
        return f"{kind}:{country}:{normalised(number)}" if number else None

    async def write(self, job: Import, rows: Sequence[Values]) -> list[Outcome]:
        """Register the valid rows; the others become errors of their row. Raises `Conflict`, `Unavailable`."""
        parsed = [self._parse(values) for values in rows]
        registrations = [one for one in parsed if isinstance(one, Registration)]
        outcomes = iter(await self._service.load(job, registrations))
        return [next(outcomes) if isinstance(one, Registration) else one for one in parsed]

    def _parse(self, values: Values) -> Registration | tuple[RowError, ...]:
        fields = {name: PARSERS[name](text) if name in PARSERS else text for name, text in values.items()}
        context = {"today": shanghai_date(self._clock.now())}
        try:
            return Registration.model_validate({**fields, "source": "import"}, context=context)
        except ValidationError as error:
            return row_errors(error)
