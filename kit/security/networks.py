"""Groups addresses for limits: by subscriber, and by neighbourhood."""

import ipaddress


def subscriber(address: str) -> str:
    """The IPv4 address, or the /64 of an IPv6 address: a provider assigns at least that to each customer (RFC 6177)."""
    return _within(address, 32, 64)


def neighbourhood(address: str) -> str:
    """The IPv4 /24 or the IPv6 /48 around an address, in which one attacker may have many addresses."""
    return _within(address, 24, 48)


def _within(address: str, v4_bits: int, v6_bits: int) -> str:
    """The network of the address as text; other text is returned unchanged."""
    try:
        given = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    plain = given.ipv4_mapped or given if isinstance(given, ipaddress.IPv6Address) else given
    bits = v4_bits if plain.version == 4 else v6_bits
    network = ipaddress.ip_network((plain, bits), strict=False)
    return str(network.network_address) if network.num_addresses == 1 else str(network)
