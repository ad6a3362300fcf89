"""The controller of a cluster: a daemon that runs passes of the control plane."""
