"""The port plan: copies of the stack can run concurrently."""

from deploy.local.ports import Ports


def test_no_two_programs_of_all_copies_have_the_same_port() -> None:
    copies = [Ports.of(name) for name in ("dev", "test", "bench", "another")]
    services = [port for ports in copies for each in ports.services.values() for port in vars(each).values()]
    servers = [port for ports in copies for port in (*ports.s3.values(), ports.kafka, ports.mongo, ports.redis)]
    assert len({*services, *servers}) == len(services) + len(servers)
    assert all(set(ports.s3.values()) <= set(ports.by_use()) for ports in copies)
