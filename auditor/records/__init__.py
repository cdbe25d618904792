"""What a submission says of its runs: its logs, parsed, and its claims, each with the place where it was read."""

from __future__ import annotations

from auditor.records.model import Clock, LogRecord, Read, Records, Run, Score, Size, Stage
from auditor.records.parse import parse_log
from auditor.records.read import read_records

__all__ = ["Clock", "LogRecord", "Read", "Records", "Run", "Score", "Size", "Stage", "parse_log", "read_records"]
