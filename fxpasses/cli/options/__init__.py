"""Options that several commands share, and the methods that each option belongs to."""
