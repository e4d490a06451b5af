"""Networks as rate limits count them."""

import pytest

from kit.security.networks import neighbourhood, subscriber


@pytest.mark.parametrize(
    ("address", "one", "around"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("unknown", "unknown", "unknown"),
        ("", "", ""),
    ],
)
def test_an_address_is_counted_by_the_network_of_its_subscriber(address: str, one: str, around: str) -> None:
    assert (subscriber(address), neighbourhood(address)) == (one, around)
