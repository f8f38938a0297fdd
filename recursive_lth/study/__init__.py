"""The juvenile-state laboratory: arms that differ in one factor, measured, compared and judged."""
