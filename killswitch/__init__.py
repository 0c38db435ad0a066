"""The emergency stop: trips, releases, the copies that hold them, the way to every agent."""
