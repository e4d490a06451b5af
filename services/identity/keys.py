"""Encryption of identity's personal data, and the keyed hashes (blind indexes) that find them."""

from dataclasses import dataclass

from contracts.identity import CONTACT_CONTEXT
from kit.security.encryption import Cipher, keyed_hash
from services.identity.practitioners.domain import Practitioner
from services.identity.practitioners.identity_documents import DocumentType, lasting, possible_lasting_parts
from services.identity.practitioners.registration import Registration

CLAIMED_HASH_LENGTH = 16


@dataclass(frozen=True)
class Keys:
    """The cipher of stored data, the cipher that notify shares, and the key of the blind indexes."""

    rest: Cipher
    bus: Cipher
    index: bytes

    def number_index(self, lasting: str) -> str:
        """The blind index of the lasting part of a document number."""
        return keyed_hash(self.index, "document_number", lasting)

    def number_indexes(self, number: str) -> set[str]:
        """The blind indexes of a normalised number whose document type is unknown."""
        return {self.number_index(part) for part in possible_lasting_parts(number)}

    def indexes_of(self, registration: Registration) -> list[str]:
        """The blind indexes of a registration's number and former number."""
        return [self.number_index(lasting(registration.document_type, number)) for number in registration.numbers]

    def keys_of(self, registration: Registration) -> list[str]:
        """The keys of a registration's identity document, and of the one that it replaces."""
        return [
            document_key(registration.document_type, registration.nationality, index)
            for index in self.indexes_of(registration)
        ]

    def claimed(self, number: str) -> str:
        """Stands for a claimed document number in security events; not an index of the database."""
        return claimed(self.index, number)

    def phone_index(self, phone: str) -> str:
        """The blind index of a phone."""
        return keyed_hash(self.index, "phone", phone)

    def contact(self, phone: str, practitioner_id: str) -> str:
        """A certificate's phone, encrypted for notify."""
        return self.bus.encrypt(phone, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def phone(self, contact: str, practitioner_id: str) -> str:
        """Decrypts what `contact` returned."""
        return self.bus.decrypt(contact, f"{CONTACT_CONTEXT}:{practitioner_id}")

    def erasure_proof(self, practitioner_id: str) -> str:
        """Proves that identity erased this person, also after the document is lost; the index key is never rotated."""
        return keyed_hash(self.index, "erasure", practitioner_id)

    def numbers(self, person: Practitioner) -> list[str]:
        """The current document number, then the former ones, decrypted."""
        context = number_context(person.id)
        return [self.rest.decrypt(sealed, context) for sealed in (person.number_sealed, *person.former_numbers_sealed)]


def claimed(key: bytes, name: str) -> str:
    """A keyed hash that stands for a claimed identity in security events: equal for equal names."""
    return f"claimed:{keyed_hash(key, 'claimed', name)[:CLAIMED_HASH_LENGTH]}"


def number_context(person_id: str) -> str:
    """The context that a person's encrypted document numbers are bound to."""
    return f"document_number:{person_id}"


def document_key(document_type: DocumentType, country: str | None, number_index: str) -> str:
    """The unique key of an identity document; a passport's number is unique only within the country of issue."""
    return f"{document_type}:{f'{country}:' if document_type == 'passport' else ''}{number_index}"
