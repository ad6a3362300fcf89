"""The command line `privatekube`, and helpers that other scripts share with it."""
