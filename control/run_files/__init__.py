"""The files of runs for people who look on: live figures, lists, exports, replays, the report of the day."""
