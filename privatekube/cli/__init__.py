"""The command line `privatekube`, and what the scripts of a project share with it."""
