"""`python -m services.identity api|worker|staff|client|reseal`."""

from kit.runtime.process import main
from services.identity.wiring import SERVICE

main(SERVICE)
