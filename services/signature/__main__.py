"""`python -m services.signature api|worker`."""

from kit.process import main
from services.signature.wiring import SERVICE

main(SERVICE)
