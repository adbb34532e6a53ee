"""The browser kiosk: the person's page with guidance and flash, and the operator's view. See docs/adr/0025.

It shows what `pipeline.gate.Gate` says and decides nothing. `Kiosk` puts it together and
`serve_kiosk` serves it.
"""

from pipeline.kiosk.kiosk import Kiosk, KioskOptions
from pipeline.kiosk.security import Access
from pipeline.kiosk.server import listen, running, serve_kiosk
from pipeline.kiosk.worker import Pace

__all__ = ["Access", "Kiosk", "KioskOptions", "Pace", "listen", "running", "serve_kiosk"]
