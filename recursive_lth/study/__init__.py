"""The juvenile-state laboratory: arms, a panel of measures, contrasts, and verdicts."""
