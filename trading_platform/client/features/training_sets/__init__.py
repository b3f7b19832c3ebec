"""Training sets: a spine of symbols and times, joined with the features that were available then."""
