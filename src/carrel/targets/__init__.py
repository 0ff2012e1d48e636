"""Where a site runs: one folder per target, and beside them what more than one of them needs."""
