"""The page as files, and the server on this computer."""
