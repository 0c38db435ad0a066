"""The actor that keeps the system's state: killswitch, regime, values by key."""
