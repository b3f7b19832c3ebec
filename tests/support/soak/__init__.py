"""What a soak is made of: its clock, the wire, the platform under test, the kinds of faults, and the verdict."""
