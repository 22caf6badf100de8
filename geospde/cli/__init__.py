"""The command line: commands, progress bars and tables in a terminal."""
