"""Gaps: detection, report, alerts, repair; outages of feeds; integrity of committed bars."""
