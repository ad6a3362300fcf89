"""Training scripts and queries of other libraries: each runs what was planned, and says what it cost as a DpEvent."""
