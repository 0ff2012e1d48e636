"""The places where a State can live."""
