"""What a device can do (roles), how each real device is spoken to (drivers), and the station they stand in."""
