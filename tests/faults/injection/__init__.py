"""Faults in a cluster, each a context manager that undoes it: of the network, of processes, of disks, of clocks.

They need the sandbox of `deploy.local` (run as `run-with-stack --name sweep`): outside it they raise before they do
anything.
"""
