"""The result of a comparison: one self-contained HTML file, or a table for the terminal."""

from jensen.report.page import write_report
from jensen.report.pictures import Pictures
from jensen.report.stored import read_record

__all__ = ["Pictures", "read_record", "write_report"]
