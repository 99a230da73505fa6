"""The whole road as stages: recipes, their order, resume."""
