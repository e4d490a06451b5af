"""The use cases of all packages. Without FastAPI, which only the api process loads."""

from dataclasses import dataclass

from kit.core.clock import Clock
from kit.security.tokens import TokenIssuer
from services.identity.accounts.passkeys import Passkeys
from services.identity.accounts.service import AccountService
from services.identity.accounts.staff import StaffAccounts
from services.identity.approvals.service import Approvals
from services.identity.captcha.service import Captchas
from services.identity.certificates.rebindings import Rebindings
from services.identity.certificates.service import Certificates
from services.identity.erasures.service import Erasures
from services.identity.login.codes import Codes
from services.identity.login.proofs import Proofs
from services.identity.login.service import LoginService
from services.identity.login.sessions import Sessions
from services.identity.practitioners.access_log import AccessLog
from services.identity.practitioners.lookups import Lookups
from services.identity.practitioners.service import PractitionerService
from services.identity.throttle import Throttle


@dataclass(frozen=True)
class UseCases:
    """What the routes, the worker and the commands call."""

    practitioners: PractitionerService
    lookups: Lookups
    certificates: Certificates
    rebindings: Rebindings
    codes: Codes
    captchas: Captchas
    login: LoginService
    sessions: Sessions
    proofs: Proofs
    accounts: AccountService
    staff: StaffAccounts
    passkeys: Passkeys
    approvals: Approvals
    accesses: AccessLog
    erasures: Erasures
    throttle: Throttle
    issuer: TokenIssuer
    clock: Clock
