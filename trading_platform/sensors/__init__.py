"""What keeps an eye on things between runs."""
