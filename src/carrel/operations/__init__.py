"""The verbs: what the command line offers, without words or colours."""
