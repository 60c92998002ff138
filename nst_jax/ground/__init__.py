"""What every floor needs, from the standard library alone."""
