"""The command line: one thin file per verb; `main` finds them by name and loads the one that is asked for."""
