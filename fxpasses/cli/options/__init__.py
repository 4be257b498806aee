"""Options that commands share, and which of them belong to which method."""
