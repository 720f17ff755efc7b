"""Exercises that check themselves: `check("memory/coverage", your_function)` says what is wrong."""

from __future__ import annotations

from lsfa_lite.exercises.checking import Exercise, check, exercises

__all__ = ["Exercise", "check", "exercises"]
