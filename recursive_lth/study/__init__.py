"""What keeps a network young: arms that differ in one factor, measured and judged."""
