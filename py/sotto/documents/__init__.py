"""Files of people, as texts."""
