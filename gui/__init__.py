"""The operator's window: it shows and asks, and owns nothing. Its pages are drawn from `control.topics`; what they ask for goes to the bench's owner.

Qt is imported by the modules in here, not by this one.
"""

from __future__ import annotations

import os

# PyMeasure chooses its binding by the first variable, pyqtgraph by the second; both must be told before the first Qt import.
os.environ["QT_API"] = "pyside6"
os.environ["PYQTGRAPH_QT_LIB"] = "PySide6"
