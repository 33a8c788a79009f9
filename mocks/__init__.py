"""The simulated world and the devices in it."""
