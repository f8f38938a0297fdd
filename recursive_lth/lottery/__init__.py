"""Classic tickets: levels of pruning, replicates, arms, controls, and what they show."""
