"""A site's own recordings to a calibration file: read, split by subject, fit, check on what was not fitted.

The file and its floor are in `pipeline.liveness.site`; what is fitted and why is in docs/adr/0022. Needs the
extra ``eval``.
"""

from pipeline.calibrate.files import check_rows, write_check_rows, write_site_file
from pipeline.calibrate.parts import CalibrateOptions, pooled
from pipeline.calibrate.recordings import Recording, read_recordings
from pipeline.calibrate.site import calibrate_site, refuse_unnamed

__all__ = [
    "CalibrateOptions",
    "Recording",
    "calibrate_site",
    "check_rows",
    "pooled",
    "read_recordings",
    "refuse_unnamed",
    "write_check_rows",
    "write_site_file",
]
