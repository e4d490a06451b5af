"""Encrypts what notify stores (phones, variables), decrypts what events carry."""

import json
from collections.abc import Sequence

from contracts.identity import CODE_CONTEXT, CONTACT_CONTEXT, CodeMessage, CodeRequested, ProofRequested
from kit.core.errors import Reject
from kit.security.encryption import Cipher, DecryptionError
from services.notify.domain import Addressed, Message, Sms


class MessageCipher:
    """Two keys: `bus` is shared with the services that publish phones and codes, `rest` is notify's own."""

    def __init__(self, bus: Cipher, rest: Cipher) -> None:
        self._bus = bus
        self._rest = rest

    def code(self, event: CodeRequested | ProofRequested) -> CodeMessage:
        """Phone and code of a request. Raises `Reject`."""
        return CodeMessage.model_validate_json(
            self._decrypt_event(event.message, f"{CODE_CONTEXT}:{event.challenge_id}")
        )

    def contact(self, sealed: str, practitioner_id: str) -> str:
        """The phone in a certificate's event. Raises `Reject`."""
        return self._decrypt_event(sealed, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def _decrypt_event(self, sealed: str, context: str) -> str:
        try:
            return self._bus.decrypt(sealed, context)
        except DecryptionError as error:
            raise Reject("an encrypted field of the event cannot be decrypted") from error

    def encrypt_contact(self, phone: str, practitioner_id: str) -> str:
        """Encrypt a phone for `contacts`."""
        return self._rest.encrypt(phone, f"contact:{practitioner_id}")

    def decrypt_contact(self, sealed: str, practitioner_id: str) -> str:
        """Decrypt a phone of `contacts`."""
        return self._rest.decrypt(sealed, f"contact:{practitioner_id}")

    def addressed(self, message_id: str, phone: str, variables: Sequence[str]) -> Addressed:
        """The encrypted fields of a new message, and its masked phone."""
        return Addressed(
            phone_hint=f"{phone[:3]}****{phone[-4:]}",
            phone_sealed=self._rest.encrypt(phone, f"phone:{message_id}"),
            variables_sealed=self._rest.encrypt(json.dumps(list(variables)), f"variables:{message_id}"),
        )

    def phone(self, message: Message) -> str:
        """The phone a message goes to."""
        return self._rest.decrypt(message.phone_sealed or "", f"phone:{message.id}")

    def sms(self, message: Message) -> Sms:
        """A message in plain text, for a carrier."""
        variables = json.loads(self._rest.decrypt(message.variables_sealed or "", f"variables:{message.id}"))
        return Sms(self.phone(message), message.purpose, tuple(variables), message.id, message.created_at)
