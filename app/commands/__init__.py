"""The commands of ``fundusmith``: a module each, or for a few that are alike."""
