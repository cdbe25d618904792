"""A small change with which a flagged script audits clean, or none."""

from auditor.fix.search import Repair, repair

__all__ = ["Repair", "repair"]
