"""Rate limits of addresses, people, phones and the city, and growing delays after failures.

While Redis is unavailable, sending codes and staff log-in fail; checking a code does not: attempts are counted in
MongoDB.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from math import ceil

from kit.core.clock import Clock
from kit.core.errors import TooManyRequests, Unavailable
from kit.observability import log
from kit.observability.metrics import initialise
from kit.redis import Cache, RateLimits, Rule
from kit.security.networks import neighbourhood, subscriber
from kit.security.tokens import Caller
from services.identity import metrics
from services.identity.settings import LimitSettings

TOO_OFTEN = "操作过于频繁"
LOOKUPS_TOO_OFTEN = "查找人员的次数过多"
CODE_TOO_OFTEN = "动态密码发送过于频繁（已收到的在有效期内仍可使用）"
TOO_MANY_WRONG = "动态密码连续错误次数过多（可在登录过的设备上登录，或到受理窗口办理）"
CITY_BUSY = "当前获取动态密码的人数过多"
HOUR, DAY = 3600, 24 * 3600
TRIES, MAX_DOUBLINGS = 5, 5
STAFF_TRIES = [Rule(10, 60), Rule(60, HOUR)]
CITY_LIMITS = ("codes_in_city", "wrong_codes_in_city")
LIMITS = (
    "address", "person", "phone", "clerk", "city", "not_enrolled", "wrong", "staff", "failures", "hashing", "secret",
    "lookups", "device", "wrong_in_a_row",
)  # fmt: skip
"""The names of the limits in security events."""

logger = log.get(__name__)


class Throttle:
    """The rate limits. Each method counts or checks one of them and raises 429 where it is exceeded."""

    def __init__(self, limits: RateLimits, rules: LimitSettings) -> None:
        self._limits = limits
        self._per_address = [Rule(rules.per_address_per_minute, 60)]
        self._not_enrolled = [Rule(rules.not_enrolled_per_hour, HOUR)]
        self._wrong, self._wrong_in_alarm = (
            [Rule(amount, HOUR)] for amount in (rules.wrong_codes_per_address, rules.wrong_codes_in_alarm)
        )
        self._hashings = [Rule(rules.hashings_per_network, 60)]
        self._wrong_secrets = [Rule(rules.wrong_secrets_per_address, HOUR)]
        self._wrong_in_city = [Rule(rules.wrong_codes_in_city, HOUR)]
        # moving windows: at least as strict as the carriers', which count by the clock's minutes and hours
        self._sends = [
            Rule(rules.codes_per_minute, 60, moving=True),
            Rule(rules.codes_per_hour, HOUR, moving=True),
            Rule(rules.codes_per_day, DAY, moving=True),
        ]
        self._wrong_in_a_row = rules.wrong_codes_in_a_row
        self._by_clerk = [Rule(rules.phone_codes_per_clerk_per_hour, HOUR)]
        self._rebindings = [Rule(rules.rebindings_per_clerk_per_day, DAY, moving=True)]
        self._sends_in_city = [Rule(rules.codes_in_city_per_minute, 60), Rule(rules.codes_in_city_per_day, DAY)]
        self._lookups_of_clerk = [
            Rule(rules.lookups_per_clerk_per_hour, HOUR), Rule(rules.lookups_per_clerk_per_day, DAY),
        ]  # fmt: skip
        self._lookups_of_client = [Rule(rules.lookups_per_client_per_hour, HOUR)]
        self._lookups_by_client = {
            client: [Rule(amount, HOUR)] for client, amount in rules.lookups_by_client_per_hour.items()
        }
        initialise(metrics.login_limits_reached, CITY_LIMITS)

    async def admit(self, address: str) -> None:
        """Count a call from this address. Raises 429; 503 while Redis is unavailable."""
        await self._limits.hit(self._per_address, "address", subscriber(address), sentence=TOO_OFTEN)

    async def admit_best_effort(self, address: str) -> None:
        """Like `admit`, but permits the call while Redis is unavailable: for calls that other limits guard, too."""
        try:
            await self.admit(address)
        except Unavailable:
            logger.warning("rate limit not enforced")

    async def admit_number(self, number_index: str, address: str) -> None:
        """Check the failed attempts for a document number. Raises 429, whether or not the phone is the right one."""
        await self._limits.check(self._not_enrolled, *_not_enrolled(number_index, address), sentence=TOO_OFTEN)

    async def not_enrolled(self, number_index: str, address: str) -> None:
        """Count a number and phone that did not match. Never raises 429: only the next attempt is refused."""
        with suppress(TooManyRequests):
            await self._limits.hit(self._not_enrolled, *_not_enrolled(number_index, address), sentence=TOO_OFTEN)

    async def admit_hashing(self, address: str) -> None:
        """Count a password hash for this network. Raises 429: a hash takes 24 ms of a core."""
        await self._limits.hit(self._hashings, "hashing", neighbourhood(address), sentence=TOO_OFTEN)

    async def admit_staff(self, account: str, address: str) -> None:
        """Count a log-in attempt for this account and address. Raises 429; other addresses are not affected."""
        await self._limits.hit(STAFF_TRIES, "staff", account, subscriber(address), sentence=TOO_OFTEN)
        await self.admit_hashing(address)

    async def admit_secret(self, client: str, address: str) -> None:
        """Check the wrong secrets of a client from this address. Raises 429; other addresses are not affected."""
        await self._limits.check(self._wrong_secrets, "secret", client, subscriber(address), sentence=TOO_OFTEN)

    async def wrong_secret(self, client: str, address: str) -> None:
        """Count a wrong client secret."""
        with suppress(TooManyRequests):
            await self._limits.hit(self._wrong_secrets, "secret", client, subscriber(address), sentence=TOO_OFTEN)

    async def admit_code(self, person: str, phone_index: str, device: str | None = None) -> None:
        """Count a code to be sent: for a known device, or else the person and their phone; and the city. Raises 429."""
        if device:
            await self._admit_code((self._sends, "device", device))
        else:
            await self._admit_code((self._sends, "person", person), (self._sends, "phone", phone_index))

    async def admit_phone_code(self, clerk: str, phone_index: str) -> None:
        """Count a code sent to a phone that is to be bound. Raises 429 for the clerk, the phone or the city."""
        await self._admit_code((self._by_clerk, "clerk", clerk), (self._sends, "phone", phone_index))

    async def _admit_code(self, *counted: tuple[Sequence[Rule], str, str]) -> None:
        """Check the city's limit first, and count it last.

        A code that it refuses counts against no person, and a code refused to a person does not count for the city.
        """
        try:
            await self._limits.check(self._sends_in_city, "city", sentence=CITY_BUSY)
        except TooManyRequests:
            metrics.login_limits_reached.labels("codes_in_city").inc()
            logger.error("city code limit reached")
            raise
        for rules, *key in counted:
            await self._limits.hit(rules, *key, sentence=CODE_TOO_OFTEN)
        await self._limits.hit(self._sends_in_city, "city", sentence=CITY_BUSY)

    async def admit_lookups(self, caller: Caller, numbers: int) -> bool:
        """Count document numbers to be looked up; True once half of the hourly limit is used. Raises 429.

        Permits all while Redis is unavailable: look-ups are audited anyway.
        """
        key = ("lookups", caller.label)
        if caller.kind == "client":
            rules = self._lookups_by_client.get(caller.subject, self._lookups_of_client)
        else:
            rules = self._lookups_of_clerk
        try:
            await self._limits.check(rules, *key, sentence=LOOKUPS_TOO_OFTEN, cost=numbers)
            await self._limits.hit(rules, *key, sentence=LOOKUPS_TOO_OFTEN, cost=numbers)
            return not await self._limits.fits(rules[:1], *key, cost=rules[0].amount // 2)
        except Unavailable:
            logger.warning("lookup limit not enforced")
            return False

    def is_guessing(self, wrong: int) -> bool:
        """Whether this many consecutive wrong codes of one person are to be reported as guessing."""
        return wrong % self._wrong_in_a_row == 0

    def admit_after_wrong(self, wrong: int, last: datetime, now: datetime) -> None:
        """Check whether a person may have another code after `wrong` consecutive wrong ones. Raises 429.

        The wait doubles with each exhausted code: one hour, two, at most a day.
        """
        if wrong < self._wrong_in_a_row:
            return
        hours = 2 ** min((wrong - self._wrong_in_a_row) // TRIES, MAX_DOUBLINGS)
        wait = min(hours * HOUR, DAY) - (now - last).total_seconds()
        if wait > 0:
            raise TooManyRequests(ceil(wait), TOO_MANY_WRONG, "wrong_in_a_row")

    async def admit_rebinding(self, caller: Caller) -> bool:
        """Count a rebinding by the caller; False above the daily limit, or while Redis is unavailable."""
        try:
            await self._limits.hit(self._rebindings, "rebindings", caller.label, sentence=TOO_OFTEN)
        except (TooManyRequests, Unavailable):
            return False
        return True

    async def admit_check(self, address: str) -> None:
        """Check the wrong codes from this address. Raises 429; permits all while Redis is unavailable.

        While the whole city exceeds its limit of wrong codes, an address has a fraction of its usual attempts: this
        stops guessing across many people, but not people who type their code correctly.
        """
        await self.admit_best_effort(address)
        try:
            alarm = not await self._limits.fits(self._wrong_in_city, "wrong", "city")
            rules = self._wrong_in_alarm if alarm else self._wrong
            await self._limits.check(rules, "wrong", subscriber(address), sentence=TOO_OFTEN)
        except Unavailable:
            logger.warning("code limits not enforced")

    async def wrong_code(self, address: str) -> None:
        """Count a wrong code for the address and the city. Never raises: the caller gets the answer of the code."""
        source = subscriber(address)
        for rules, key in ((self._wrong, source), (self._wrong_in_alarm, source), (self._wrong_in_city, "city")):
            try:
                await self._limits.hit(rules, "wrong", key, sentence=TOO_OFTEN)
            except Unavailable:
                return
            except TooManyRequests:
                if key == "city":
                    metrics.login_limits_reached.labels("wrong_codes_in_city").inc()
                    logger.error("city wrong-code limit reached")


class LoginDelays:
    """Doubling waits after failures of one account from one address; other addresses are not locked out."""

    FREE_FAILURES = 3
    FIRST_SECONDS = 2
    MAX_SECONDS = 900

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache, self._clock = cache, clock

    async def admit(self, account: str, address: str) -> None:
        """Raises 429 during the wait after the last failure."""
        _, until = await self._failures(account, address)
        wait = until - self._clock.now().timestamp()
        if wait > 0:
            raise TooManyRequests(ceil(wait), TOO_OFTEN, "failures")

    async def failed(self, account: str, address: str) -> None:
        """Count a failure."""
        count = (await self._failures(account, address))[0] + 1
        wait = 0
        if count >= self.FREE_FAILURES:
            wait = min(self.MAX_SECONDS, self.FIRST_SECONDS * 2 ** (count - self.FREE_FAILURES))
        until = self._clock.now().timestamp() + wait
        await self._cache.put(self._key(account, address), f"{count} {until}", DAY)

    async def reset(self, account: str, address: str) -> None:
        """Forget the failures, after a successful log-in."""
        await self._cache.drop(self._key(account, address))

    async def _failures(self, account: str, address: str) -> tuple[int, float]:
        """How many there were, and until when the wait lasts, as a Unix time."""
        count, until = (await self._cache.get(self._key(account, address)) or "0 0").split()
        return int(count), float(until)

    def _key(self, account: str, address: str) -> str:
        return f"failures:{account}:{subscriber(address)}"


def _not_enrolled(number_index: str, address: str) -> tuple[str, ...]:
    """Counted per network: somebody who only knows a number can't lock its owner out of other networks."""
    return "not_enrolled", number_index, neighbourhood(address)
