"""Policies: what has been tried -> what to try next. Pure functions of one signature."""
