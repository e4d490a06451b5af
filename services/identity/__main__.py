"""`python -m services.identity api|worker|staff|client|reseal`."""

from kit.process import main
from services.identity.wiring import SERVICE

main(SERVICE)
