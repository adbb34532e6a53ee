"""What an operator sees of a running gateway: health, metrics, logs, and the description of its surface."""
