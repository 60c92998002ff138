"""Files, arrays and colours of pictures; nothing here imports jax."""
