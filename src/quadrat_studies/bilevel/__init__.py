"""Filter-circuit synthesis as bilevel optimisation: a topology outside, its element values inside."""
