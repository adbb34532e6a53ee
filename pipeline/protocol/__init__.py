"""What client and gateway share: POP signing and the service's codes."""
