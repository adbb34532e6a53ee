"""The livegate command."""
