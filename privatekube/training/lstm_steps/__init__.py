"""The steps of an LSTM under DP-SGD, in three implementations with the same results: torch, native (C++) and cuDNN."""
