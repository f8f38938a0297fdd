"""The gardener: proposes growth, judges it, accepts tickets, and keeps their lineage."""
