"""`python -m services.attachments api|worker`."""

from kit.process import main
from services.attachments.wiring import SERVICE

main(SERVICE)
