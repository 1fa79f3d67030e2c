"""An image on one page: a file that needs nothing else, to be opened in any browser."""

from oci_builder.report.page import render
from oci_builder.report.remarks import Remark, remarks_of

__all__ = ["Remark", "remarks_of", "render"]
