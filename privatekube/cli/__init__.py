"""The command line `privatekube`, and what the project's scripts share with it."""
