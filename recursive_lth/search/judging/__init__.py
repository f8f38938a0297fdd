"""Judging growths by short trainings: births, cohorts from rung to rung, races, the choice."""
