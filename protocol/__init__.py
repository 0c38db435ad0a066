"""The contract's rules as plain functions, for daemon, kit and command line alike."""
