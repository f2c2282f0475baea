"""Files written whole or not at all, processes, and JSON of strangers read strictly."""
