"""One pass of the control plane, decided without a store, a clock or I/O; see `run_pass.run_pass`."""
