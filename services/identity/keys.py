"""What seals and finds identity's data: sealers, and blind indexes of numbers and phones."""

from dataclasses import dataclass

from contracts.identity import CONTACT_CONTEXT
from kit.security.encryption import Cipher, keyed_hash
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.identity_documents import DocumentType, lasting, readings
from services.identity.practitioners.registration import Registration

CLAIMED_LENGTH = 16


@dataclass(frozen=True)
class Keys:
    """What seals at rest, what seals for notify, and what makes blind indexes."""

    rest: Cipher
    bus: Cipher
    index: bytes

    def number_index(self, lasting: str) -> str:
        """Finds a person by the lasting part of a document number."""
        return keyed_hash(self.index, "document_number", lasting)

    def number_indexes(self, number: str) -> set[str]:
        """All that a normalised number may be found by, when nobody says of which document it is."""
        return {self.number_index(reading) for reading in readings(number)}

    def indexes_of(self, given: Registration) -> list[str]:
        """What finds the number of a registration, and the former number."""
        return [self.number_index(lasting(given.document_type, number)) for number in given.numbers]

    def keys_of(self, given: Registration) -> list[str]:
        """The keys of its document, and of the one before it."""
        return [document_key(given.document_type, given.nationality, index) for index in self.indexes_of(given)]

    def claimed(self, number: str) -> str:
        """Who claims to have this document number, for security events; it finds nobody in the database."""
        return claimed(self.index, number)

    def phone_index(self, phone: str) -> str:
        """Compares phones without knowing them."""
        return keyed_hash(self.index, "phone", phone)

    def contact(self, phone: str, practitioner_id: str) -> str:
        """A certificate's phone, sealed for notify."""
        return self.bus.seal(phone, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def phone(self, contact: str, practitioner_id: str) -> str:
        """What `contact` sealed."""
        return self.bus.open(contact, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def erasure_proof(self, practitioner_id: str) -> str:
        """Proves that identity erased this person, when its document of that is lost. This key is never replaced."""
        return keyed_hash(self.index, "erasure", practitioner_id)

    def numbers(self, person: Practitioner) -> list[str]:
        """The number of now and the former ones, in plain."""
        context = number_context(person.id)
        return [self.rest.open(sealed, context) for sealed in (person.number_sealed, *person.former_numbers_sealed)]


def claimed(key: bytes, name: str) -> str:
    """Who somebody claims to be, for security events: the same for the same name, and nothing without the key."""
    return f"claimed:{keyed_hash(key, 'claimed', name)[:CLAIMED_LENGTH]}"


def number_context(person_id: str) -> str:
    """What the seal of a person's document numbers is bound to."""
    return f"document_number:{person_id}"


def document_key(document_type: DocumentType, country: str | None, number_index: str) -> str:
    """What a document is known by; a passport's number is only unique with the country that issued it."""
    return f"{document_type}:{f'{country}:' if document_type == 'passport' else ''}{number_index}"
