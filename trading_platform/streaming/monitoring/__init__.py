"""What a stream notices about itself, its feeds and its servers, as incidents with a begin and an end."""
