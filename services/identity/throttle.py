"""How often what may be tried: limits of addresses, people, phones and the city, and delays that grow.

Sending and staff log-in are closed when Redis is away; checking a code is not, its tries are counted in MongoDB.
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
TRIES, LONGEST_ROW = 5, 5
STAFF_TRIES = [Rule(10, 60), Rule(60, HOUR)]
CITY_LIMITS = ("codes_in_city", "wrong_codes_in_city")
LIMITS = (
    "address", "person", "phone", "clerk", "city", "not_enrolled", "wrong", "staff", "failures", "hashing", "secret",
    "lookups", "device", "wrong_in_a_row",
)  # fmt: skip
"""What limits are called in security events."""

logger = log.get(__name__)


class Throttle:
    """Limits by counting."""

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
        # moving windows: at least as strict as the operators', whose minutes and hours are the clock's
        self._sends = [
            Rule(rules.codes_per_minute, 60, moving=True),
            Rule(rules.codes_per_hour, HOUR, moving=True),
            Rule(rules.codes_per_day, DAY, moving=True),
        ]
        self._in_a_row = rules.wrong_codes_in_a_row
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
        """Count a call from this address. Raises 429; 503 when Redis is away."""
        await self._limits.hit(self._per_address, "address", subscriber(address), sentence=TOO_OFTEN)

    async def admit_anyway(self, address: str) -> None:
        """The same, but going on without Redis: for what is guarded by more than the address."""
        try:
            await self.admit(address)
        except Unavailable:
            logger.warning("rate limit not enforced")

    async def admit_number(self, number_index: str, address: str) -> None:
        """May this number be tried from here? Raises 429, whether or not the phone would be the right one."""
        await self._limits.check(self._not_enrolled, *_not_enrolled(number_index, address), sentence=TOO_OFTEN)

    async def not_enrolled(self, number_index: str, address: str) -> None:
        """Count a number and phone that did not match; the answer stays what it was for the last one that fits."""
        with suppress(TooManyRequests):
            await self._limits.hit(self._not_enrolled, *_not_enrolled(number_index, address), sentence=TOO_OFTEN)

    async def admit_hashing(self, address: str) -> None:
        """May this neighbourhood have another password hashed? Raises 429: a hash takes 24 ms of a core."""
        await self._limits.hit(self._hashings, "hashing", neighbourhood(address), sentence=TOO_OFTEN)

    async def admit_staff(self, account: str, address: str) -> None:
        """May this subscriber try this account, and its neighbourhood any? Raises 429; others try on elsewhere."""
        await self._limits.hit(STAFF_TRIES, "staff", account, subscriber(address), sentence=TOO_OFTEN)
        await self.admit_hashing(address)

    async def admit_secret(self, client: str, address: str) -> None:
        """May this subscriber try a secret of this client? Raises 429; others of the client go on."""
        await self._limits.check(self._wrong_secrets, "secret", client, subscriber(address), sentence=TOO_OFTEN)

    async def wrong_secret(self, client: str, address: str) -> None:
        """Count a wrong client secret."""
        with suppress(TooManyRequests):
            await self._limits.hit(self._wrong_secrets, "secret", client, subscriber(address), sentence=TOO_OFTEN)

    async def admit_code(self, person: str, phone_index: str, device: str | None = None) -> None:
        """Count a code to be sent. Raises 429: for the person and their phone, or a known device; or the whole city."""
        if device:
            await self._admit_code((self._sends, "device", device))
        else:
            await self._admit_code((self._sends, "person", person), (self._sends, "phone", phone_index))

    async def admit_phone_code(self, clerk: str, phone_index: str) -> None:
        """Count a code that goes to a phone to be bound. Raises 429: for who asks, the phone, or the city."""
        await self._admit_code((self._by_clerk, "clerk", clerk), (self._sends, "phone", phone_index))

    async def _admit_code(self, *counted: tuple[Sequence[Rule], str, str]) -> None:
        """The city is looked at first, counted last: its limit costs nobody a code, and one person can't use it up."""
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
        """Count document numbers to be looked up; True when half of an hour's is used up. Raises 429.

        Without Redis nobody is kept from working: look-ups are written down anyway.
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

    def alarming_row(self, wrong: int) -> bool:
        """Whether so many wrong codes in a row, of one person, are reason for an alarm."""
        return wrong % self._in_a_row == 0

    def admit_row(self, wrong: int, last: datetime, now: datetime) -> None:
        """May somebody with so many wrong codes in a row, the last one then, have another? Raises 429.

        The wait doubles with each code that was spent since: one hour, two, at most a day.
        """
        if wrong < self._in_a_row:
            return
        hours = 2 ** min((wrong - self._in_a_row) // TRIES, LONGEST_ROW)
        wait = min(hours * HOUR, DAY) - (now - last).total_seconds()
        if wait > 0:
            raise TooManyRequests(ceil(wait), TOO_MANY_WRONG, "wrong_in_a_row")

    async def admit_rebinding(self, caller: Caller) -> bool:
        """Count another phone that the caller binds; False when it is one too many for a day, or can't be counted."""
        try:
            await self._limits.hit(self._rebindings, "rebindings", caller.label, sentence=TOO_OFTEN)
        except (TooManyRequests, Unavailable):
            return False
        return True

    async def admit_check(self, address: str) -> None:
        """May this address check a code? Raises 429; without Redis everybody may.

        While the city as a whole sees too many wrong codes, an address gets a fraction of its tries: guessing over
        many people is stopped, and who types their code right is not.
        """
        await self.admit_anyway(address)
        try:
            alarm = not await self._limits.fits(self._wrong_in_city, "wrong", "city")
            rules = self._wrong_in_alarm if alarm else self._wrong
            await self._limits.check(rules, "wrong", subscriber(address), sentence=TOO_OFTEN)
        except Unavailable:
            logger.warning("code limits not enforced")

    async def wrong_code(self, address: str) -> None:
        """Count a wrong code; never in the way of telling so."""
        place = subscriber(address)
        for rules, key in ((self._wrong, place), (self._wrong_in_alarm, place), (self._wrong_in_city, "city")):
            try:
                await self._limits.hit(rules, "wrong", key, sentence=TOO_OFTEN)
            except Unavailable:
                return
            except TooManyRequests:
                if key == "city":
                    metrics.login_limits_reached.labels("wrong_codes_in_city").inc()
                    logger.error("city wrong-code limit reached")


class LoginDelays:
    """Waits that double with each failure of one account from one address: whoever guesses does not lock others out."""

    FREE = 3
    FIRST_SECONDS = 2
    MOST_SECONDS = 900

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self._cache, self._clock = cache, clock

    async def admit(self, account: str, address: str) -> None:
        """Raises 429 while the wait after the last failure lasts."""
        _, until = await self._known(account, address)
        wait = until - self._clock.now().timestamp()
        if wait > 0:
            raise TooManyRequests(ceil(wait), TOO_OFTEN, "failures")

    async def failed(self, account: str, address: str) -> None:
        """One failure more."""
        count = (await self._known(account, address))[0] + 1
        wait = min(self.MOST_SECONDS, self.FIRST_SECONDS * 2 ** (count - self.FREE)) if count >= self.FREE else 0
        until = self._clock.now().timestamp() + wait
        await self._cache.put(self._key(account, address), f"{count} {until}", DAY)

    async def forget(self, account: str, address: str) -> None:
        """Logged in: start again from nothing."""
        await self._cache.drop(self._key(account, address))

    async def _known(self, account: str, address: str) -> tuple[int, float]:
        count, until = (await self._cache.get(self._key(account, address)) or "0 0").split()
        return int(count), float(until)

    def _key(self, account: str, address: str) -> str:
        return f"failures:{account}:{subscriber(address)}"


def _not_enrolled(number_index: str, address: str) -> tuple[str, ...]:
    """Counted by place: whoever knows a number does not keep its owner out elsewhere."""
    return "not_enrolled", number_index, neighbourhood(address)
