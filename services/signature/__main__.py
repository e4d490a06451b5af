"""`python -m services.signature api|worker|reseal`."""

from kit.runtime.process import main
from services.signature.wiring import SERVICE

main(SERVICE)
