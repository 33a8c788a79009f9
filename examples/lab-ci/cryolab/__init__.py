"""What this laboratory adds to Heliograph: the thermometer of its cryostat, and a measurement that reads it beside the detectors."""

from heliograph.instruments.catalogue import Entry

DRIVER = Entry("Thermometer", "cryolab.thermometer", "LakeShoreThermometer", "Lake Shore", "Model 224", "TCP, SCPI")
