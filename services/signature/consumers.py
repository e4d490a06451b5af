"""event → method of signature."""

from collections.abc import Mapping

from contracts.identity import PractitionerChanged, PractitionerErased
from contracts.signature import SignatureChanged
from kit.consumer import Handler
from kit.erasure import Erasure
from kit.events import Event
from services.signature.checks import Checks
from services.signature.forms import Outdating

PEOPLE, PEOPLE_TOPICS = "signature.practitioners", [PractitionerChanged.TOPIC]
# a check doesn't wait behind everything that identity ever told
CHECKS, CHECK_TOPICS = "signature.check", [SignatureChanged.TOPIC]
ERASURES, ERASURE_TOPICS = "signature.erasures", [PractitionerErased.TOPIC]


def people(outdating: Outdating) -> Mapping[str, Handler]:
    """What identity says of people."""

    async def practitioner_changed(event: Event) -> None:
        told = PractitionerChanged.model_validate_json(event.data)
        await outdating.note_person(told.practitioner_id, told.version, told.changed)

    return {PractitionerChanged.TYPE: practitioner_changed}


def checks(made: Checks) -> Mapping[str, Handler]:
    """What this service said itself: a sheet that came is checked, one that was judged settles those before it."""

    async def signature_changed(event: Event) -> None:
        told = SignatureChanged.model_validate_json(event.data)
        if told.state == "checking":
            await made.check(told.signature_id)
        elif told.state == "replaced":
            await made.remove_files(told.signature_id)
        else:
            await made.settle(told.practitioner_id)

    return {SignatureChanged.TYPE: signature_changed}


def erasures(erasure: Erasure) -> Mapping[str, Handler]:
    """Somebody is to be erased."""
    return {PractitionerErased.TYPE: erasure.handle}
