"""`python -m services.records api|worker`."""

from kit.runtime.process import main
from services.records.wiring import SERVICE

main(SERVICE)
