"""What is sealed: phones and variables at rest, what came over the bus."""

import json
from collections.abc import Sequence

from contracts.identity import CODE_CONTEXT, CONTACT_CONTEXT, CodeMessage, CodeRequested, ProofRequested
from kit.core.errors import Reject
from kit.security.encryption import Cipher, DecryptionError
from services.notify.domain import Addressed, Message, Sms


class MessageCipher:
    """The bus's key is shared with who sends; the other one is notify's own."""

    def __init__(self, bus: Cipher, rest: Cipher) -> None:
        self._bus, self._rest = bus, rest

    def code(self, event: CodeRequested | ProofRequested) -> CodeMessage:
        """Phone and code of a request. Raises `Reject`."""
        return CodeMessage.model_validate_json(self._told(event.message, f"{CODE_CONTEXT}:{event.challenge_id}"))

    def contact(self, sealed: str, practitioner_id: str) -> str:
        """The phone of a certificate's event. Raises `Reject`."""
        return self._told(sealed, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def _told(self, sealed: str, context: str) -> str:
        try:
            return self._bus.open(sealed, context)
        except DecryptionError as error:
            raise Reject("what the event sealed does not open") from error

    def kept_contact(self, phone: str, practitioner_id: str) -> str:
        """A phone for `contacts`."""
        return self._rest.seal(phone, f"contact:{practitioner_id}")

    def open_contact(self, sealed: str, practitioner_id: str) -> str:
        """What `kept_contact` sealed."""
        return self._rest.open(sealed, f"contact:{practitioner_id}")

    def addressed(self, message_id: str, phone: str, variables: Sequence[str]) -> Addressed:
        """The sealed fields of a new message, and what may be seen of its phone."""
        return Addressed(
            phone_hint=f"{phone[:3]}****{phone[-4:]}",
            phone_sealed=self._rest.seal(phone, f"phone:{message_id}"),
            variables_sealed=self._rest.seal(json.dumps(list(variables)), f"variables:{message_id}"),
        )

    def phone(self, message: Message) -> str:
        """Where a message goes to."""
        return self._rest.open(message.phone_sealed or "", f"phone:{message.id}")

    def sms(self, message: Message) -> Sms:
        """What goes to an operator."""
        variables = json.loads(self._rest.open(message.variables_sealed or "", f"variables:{message.id}"))
        return Sms(self.phone(message), message.purpose, tuple(variables), message.id, message.created_at)
