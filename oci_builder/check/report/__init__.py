"""An image on one page: a file that needs nothing else, to be opened in any browser."""

from oci_builder.check.report.page import Remark, render

__all__ = ["Remark", "render"]
