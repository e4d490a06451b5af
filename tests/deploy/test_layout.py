"""Layouts: what a cluster has, and that every instance has an address of its own, which its certificate names."""

from collections import Counter

from deploy.local.access import hosts, kafka_servers, mongo_members
from deploy.local.environment import internals_of, partitions
from deploy.local.layout import BALANCER
from deploy.local.programs import server_programs, service_programs
from deploy.local.stack import Stack

CLUSTER, SINGLE = Stack.named("cluster"), Stack.named("test")


def test_a_cluster_has_three_of_each_server_and_more_than_one_of_each_process() -> None:
    counts = Counter(instance.kind for instance in CLUSTER.layout.instances)
    assert counts["kafka"] == counts["mongo"] == counts["sentinel"] == 3
    assert counts["redis"] == 2
    processes = Counter(name.rpartition("-")[0] for name in service_programs(CLUSTER))
    assert set(processes) == set(service_programs(SINGLE))
    assert set(processes.values()) == {2, 3}


def test_every_instance_of_a_cluster_has_an_address_of_its_own() -> None:
    instances = CLUSTER.layout.instances
    assert len({instance.host for instance in instances}) == len(instances)
    assert {instance.host for instance in SINGLE.layout.instances} == {"127.0.0.1"}


def test_clients_know_all_brokers_and_members_and_find_the_rest_by_the_balancer() -> None:
    assert len(kafka_servers(CLUSTER).split(",")) == len(mongo_members(CLUSTER)) == 3
    (balancer,) = CLUSTER.layout.of(BALANCER)
    assert balancer.host in CLUSTER.api("records")
    assert balancer.host in hosts(CLUSTER, "records-api"), "TLS passes through: the instance answers for this address"
    assert CLUSTER.host("gateway") != balancer.host


def test_both_layouts_run_the_same_programs() -> None:
    kinds = {instance.kind for instance in CLUSTER.layout.instances}
    assert kinds - {instance.kind for instance in SINGLE.layout.instances} == {BALANCER, "sentinel"}
    assert set(server_programs(SINGLE)) < kinds


def test_every_process_of_a_cluster_is_observed_by_its_own_name() -> None:
    assert set(internals_of(CLUSTER)) == set(service_programs(CLUSTER))


def test_a_cluster_has_the_partitions_of_production() -> None:
    assert partitions(CLUSTER) == 24
