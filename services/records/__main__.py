"""`python -m services.records api|worker`."""

from kit.process import main
from services.records.wiring import SERVICE

main(SERVICE)
