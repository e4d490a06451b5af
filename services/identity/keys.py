"""What seals at rest, what seals for notify, and what makes blind indexes."""

from dataclasses import dataclass

from contracts.identity import CONTACT_CONTEXT
from kit.seal import Sealer, keyed_hash
from services.identity.documents import readings


@dataclass(frozen=True)
class Keys:
    """identity's keys by their use."""

    rest: Sealer
    bus: Sealer
    index: bytes

    def number_index(self, lasting: str) -> str:
        """Finds a person by the lasting part of a document number."""
        return keyed_hash(self.index, "document_number", lasting)

    def number_indexes(self, number: str) -> set[str]:
        """All that a normalised number may be found by, when nobody says of which document it is."""
        return {self.number_index(reading) for reading in readings(number)}

    def phone_index(self, phone: str) -> str:
        """Compares phones without knowing them."""
        return keyed_hash(self.index, "phone", phone)

    def contact(self, phone: str, practitioner_id: str) -> str:
        """A certificate's phone, sealed for notify."""
        return self.bus.seal(phone, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def phone(self, contact: str, practitioner_id: str) -> str:
        """What `contact` sealed."""
        return self.bus.open(contact, f"{CONTACT_CONTEXT}:{practitioner_id}")
