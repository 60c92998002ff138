"""What is asked for, as data; carried out and recorded."""
