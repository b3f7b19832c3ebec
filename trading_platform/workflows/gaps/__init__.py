"""What is missing: detect, report, alert, repair; outages of feeds; integrity of what was committed."""
