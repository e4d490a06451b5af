"""The kinds of record, in the order of the guide's menu: a new kind is a file here and an entry in `KINDS`."""

from services.records.domain import Kind
from services.records.kinds import (
    credit,
    degree,
    education,
    project,
    registration,
    skill_certificate,
    title,
    work_experience,
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        education.KIND,
        degree.KIND,
        title.KIND,
        registration.KIND,
        skill_certificate.KIND,
        work_experience.KIND,
        project.KIND,
        credit.KIND,
    )
}
