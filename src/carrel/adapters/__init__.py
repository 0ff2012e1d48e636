"""One thin module per tool. They do as they are told and decide nothing."""
