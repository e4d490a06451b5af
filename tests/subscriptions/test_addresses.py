"""Webhook addresses: only public hosts are called, whatever spelling is used (SSRF)."""

import pytest

from kit.http.outbound import Forbidden, Limits, NotReached, Outbound, checked_url, may_reach, resolve

PRIVATE = [
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1",
    "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:53aa:64c::1", "2001:db8::1", "x", "",
    "192.88.99.1", "fec0::1", "feff::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "203.0.114.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
BAD_URLS = [
    "", "x", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "//example.org/", "http://example.org/",
    "https://", "https:///x", "https://user:secret@example.org/", "https://example.org/#part", "https://localhost/",
    "https://2130706433/", "https://intranet/", "https://[::1]/", "https://[fe80::1%25eth0]/", "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://0.0.0.0/", "https://[::ffff:10.0.0.1]/", "https://a b/",
    "https://example.org:99999/", "javascript:alert(1)", "https://127.0.0.1/", "http://127.0.0.1/", "\u202ehttps://x.y/",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_no_public_host_are_not_reached(address: str) -> None:
    assert not may_reach(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert may_reach(address)


def test_a_developers_machine_may_call_itself_only() -> None:
    assert may_reach("127.0.0.1", loopback=True)
    assert may_reach("::1", loopback=True)
    assert not may_reach("10.0.0.1", loopback=True)
    assert checked_url("http://127.0.0.1:1/x", loopback=True).port == 1
    for url in ("http://10.0.0.1/", "http://example.org/", "http://192.168.0.1/"):
        with pytest.raises(Forbidden):
            checked_url(url, loopback=True)


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        checked_url(url)


@pytest.mark.parametrize("url", ["https://example.org/hook?a=1", "https://example.org:8443/", "https://1.1.1.1/"])
def test_urls_that_are_accepted(url: str) -> None:
    assert str(checked_url(url)) == url


@pytest.mark.parametrize("name", ["localhost", "127.1", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "[::1]"])
async def test_the_resolved_address_is_checked(name: str) -> None:
    """The system's resolver accepts more spellings of an address than any parser."""
    with pytest.raises((Forbidden, NotReached)):  # not every resolver accepts all of them
        await resolve(name, 443)


async def test_the_address_is_checked_again_at_the_call() -> None:
    async with Outbound(Limits(1, 1), 1) as outbound:
        with pytest.raises(Forbidden):
            await outbound.post("https://127.1/", b"{}", {})
