"""Figures of the pages: each a widget that is given the payloads of one topic."""
