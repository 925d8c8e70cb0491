"""The two models that vitvis trains and ships."""
