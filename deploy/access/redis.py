"""Redis: the access control list, a file that the server reads (`aclfile`)."""

import hashlib
from collections.abc import Mapping

from deploy.access.principals import ADMIN, KeyGrant, Principal, principals


def acl_file(passwords: Mapping[str, str]) -> str:
    """The text of the file; passwords are in it as SHA-256. Redis reads it at its start and by `ACL LOAD`.

    The user `default`, that of a connection without a name, is off. A principal without keys or commands has no user.
    """
    planned = [principal for principal in principals().values() if principal.commands]
    lines = [_line(principal, passwords[principal.name]) for principal in planned]
    everything = f"user {ADMIN} on {_digest(passwords[ADMIN])} ~* &* +@all" if ADMIN in passwords else ""
    return "\n".join(["user default off resetkeys resetchannels -@all", *filter(None, [everything]), *lines, ""])


def _line(principal: Principal, password: str) -> str:
    return f"user {principal.name} on {_digest(password)} {rules(principal)}"


def rules(principal: Principal) -> str:
    """What a principal's user may do, as `ACL SETUSER` takes it."""
    commands = [f"+{command}" for command in principal.commands]
    return " ".join(["resetkeys", "resetchannels", *map(_pattern, principal.redis), "-@all", *commands])


def _pattern(grant: KeyGrant) -> str:
    return f"~{grant.pattern}" if grant.write else f"%R~{grant.pattern}"


def exporter_passwords(address: str, user: str, password: str) -> dict[str, str]:
    """The password file of redis_exporter, by URL: older releases look up the one without the user."""
    return {f"rediss://{login}{address}": password for login in ("", f"{user}@")}


def _digest(password: str) -> str:
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"
