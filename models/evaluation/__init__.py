"""Is a model real enough, useful enough, private enough: its pairs measured against real ones."""
