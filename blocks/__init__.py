"""Reviews to tokens to disjoint block files to declared blocks."""
